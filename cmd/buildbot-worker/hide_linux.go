package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Indices of the fields of /proc/self/stat, counted from the state, with the beginning of the arguments and of the
// environment. The next field is the end.
const (
	statArguments   = 45
	statEnvironment = 47
)

// hideSecrets overwrites texts in the arguments, which every user of the machine can read, and in the initial
// environment, which this worker's commands can read: whole arguments, and what follows an equals sign. The strings of
// os.Args and os.Getenv change with it. Errors are ignored.
func hideSecrets(given ...string) {
	var secrets []string
	for _, secret := range given {
		if secret != "" {
			secrets = append(secrets, strings.Clone(secret))
		}
	}
	if len(secrets) == 0 {
		return
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer memory.Close()
	for _, at := range []int{statArguments, statEnvironment} {
		if len(fields) <= at+1 {
			return
		}
		begin, err1 := strconv.ParseInt(fields[at], 10, 64)
		end, err2 := strconv.ParseInt(fields[at+1], 10, 64)
		if err1 != nil || err2 != nil || begin >= end {
			continue
		}
		block := make([]byte, end-begin)
		if _, err := memory.ReadAt(block, begin); err != nil {
			continue
		}
		position := begin
		for _, entry := range bytes.Split(block, []byte{0}) {
			for _, secret := range secrets {
				before, found := strings.CutSuffix(string(entry), secret)
				if found && (before == "" && at == statArguments || strings.HasSuffix(before, "=")) {
					_, _ = memory.WriteAt(bytes.Repeat([]byte{'x'}, len(secret)), position+int64(len(before)))
				}
			}
			position += int64(len(entry)) + 1
		}
	}
}
