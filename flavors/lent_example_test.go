package flavors_test

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// Scans has methods for long byte strings.
type Scans struct {
	flavors.Root
	kept []byte
}

// RemoteSum reads the bytes and does not keep them.
func (*Scans) RemoteSum(data *flavors.Lent) uint32 { return crc32.ChecksumIEEE(data.Bytes()) }

// RemotePut keeps the bytes, so it copies them: they are lent until it returns.
func (s *Scans) RemotePut(data *flavors.Lent) { s.kept = append(s.kept[:0], data.Bytes()...) }

// RemoteMirror returns the bytes from where they are.
func (*Scans) RemoteMirror(data *flavors.Lent) *flavors.Lent { return data }

// Long byte strings are read, passed to methods and sent without copies.
func ExampleLent() {
	conn, leave := pbtest.Visit(&Scans{})
	defer leave()
	ctx := context.Background()

	scan := make([]byte, 500_000)
	data := flavors.Lend(scan)
	sum, err := flavors.Call[uint32](ctx, conn.Root(), "sum", data)
	fmt.Println(sum == crc32.ChecksumIEEE(scan), err)
	_, err = flavors.Call[any](ctx, conn.Root(), "put", data)
	fmt.Println(err)

	mirrored, err := flavors.Call[*flavors.Lent](ctx, conn.Root(), "mirror", data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mirrored.Len(), "bytes")
	mirrored.Release()
	fmt.Println(mirrored.Bytes() == nil)

	data.Release()
	<-data.Done() // Now scan may change.
	// Output:
	// true <nil>
	// <nil>
	// 500000 bytes
	// true
}
