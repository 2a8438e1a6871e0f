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

// hidePassword overwrites the password in the arguments, which every user of the machine can read, and in the initial
// environment, which this worker's commands can read. Errors are ignored.
func hidePassword(password string) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil || password == "" {
		return
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer memory.Close()
	for _, shown := range []struct {
		at     int
		before []string
	}{
		{statArguments, []string{"-password\x00", "-password="}},
		{statEnvironment, []string{passwordVariable + "="}},
	} {
		if len(fields) <= shown.at+1 {
			return
		}
		begin, err1 := strconv.ParseInt(fields[shown.at], 10, 64)
		end, err2 := strconv.ParseInt(fields[shown.at+1], 10, 64)
		if err1 != nil || err2 != nil || begin >= end {
			continue
		}
		block := make([]byte, end-begin)
		if _, err := memory.ReadAt(block, begin); err != nil {
			continue
		}
		for _, before := range shown.before {
			secret := []byte(before + password + "\x00")
			if at := bytes.Index(block, secret); at >= 0 {
				_, _ = memory.WriteAt(bytes.Repeat([]byte{'x'}, len(password)), begin+int64(at+len(before)))
			}
		}
	}
}
