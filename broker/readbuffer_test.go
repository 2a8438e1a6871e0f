package broker_test

import (
	"bytes"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// halfMegabytes encodes a call with strings of 512 KiB each.
func halfMegabytes(strings int) []byte {
	long := bytesOf(bytes.Repeat([]byte{7}, 512<<10))
	return callOf(1, "nothing", 1, slices.Repeat([][]byte{long}, strings)...)
}

// crowd is a server whose memory total has room for one message of three megabytes, and not for two. A pipe has no
// buffer: what was written has been read.
type crowd struct{ *server }

func newCrowd(t *testing.T) crowd {
	return crowd{newServer(t, &service{}, broker.WithLimits(broker.Limits{MemoryTotal: 5 << 20, Stall: 20 * time.Second}))}
}

func (s crowd) member() (net.Conn, *wire.Peer) {
	sock := s.dial()
	return sock, peerOver(s.t, sock)
}

// begin writes in the background and sends the result.
func begin(sock net.Conn, b []byte) chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := sock.Write(b)
		ended <- err
	}()
	synctest.Wait()
	return ended
}

func wantBlocked(t *testing.T, ended chan error) {
	t.Helper()
	select {
	case err := <-ended:
		require.FailNow(t, "the write did not block", "%v", err)
	default:
	}
}

func TestPartialMessagesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCrowd(t)
		frame := halfMegabytes(6)
		first, _ := s.member()
		second, _ := s.member()
		_, bystander := s.member()
		_, err := first.Write(frame[:len(frame)-10])
		require.NoError(t, err)
		ended := begin(second, frame[:len(frame)-10])
		wantBlocked(t, ended)
		bystander.Write(`[message 1 root echo 1 [tuple 5] [dictionary]]`)
		bystander.Want(`[answer 1 5]`)

		require.NoError(t, first.Close())
		require.NoError(t, <-ended, "there is room now")
	})
}

func TestNoRoomForMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCrowd(t)
		frame := halfMegabytes(6)
		first, _ := s.member()
		second, _ := s.member()
		began := time.Now()
		for sent := 0; sent < 3<<20; sent += 1 << 10 { // It is slow, but does not stall.
			if sent == 2<<20 {
				ended := begin(second, frame)
				defer func() {
					require.Error(t, <-ended)
					require.GreaterOrEqual(t, time.Since(began), 20*time.Second)
				}()
			}
			_, err := first.Write(frame[sent : sent+1<<10])
			require.NoError(t, err)
			time.Sleep(time.Second)
		}
	})
}

func TestStallWithinMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCrowd(t)
		frame := halfMegabytes(6)
		first, peer := s.member()
		_, err := first.Write(frame[:len(frame)-1])
		require.NoError(t, err)
		began := time.Now()
		peer.WantClosed()
		require.Equal(t, 20*time.Second, time.Since(began))
		second, _ := s.member()
		_, err = second.Write(frame[:len(frame)-1])
		require.NoError(t, err, "its memory is free again")
	})
}

func TestSmallRestLeavesLargeBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// There is room for one message, once in a buffer of 4 MiB and once decoded, and not for two buffers.
		limits := broker.Limits{MemoryTotal: 7_800_000, Stall: 20 * time.Second}
		s := crowd{newServer(t, &service{}, broker.WithLimits(limits))}
		frame := halfMegabytes(6)
		first, peer := s.member()
		_, err := first.Write(frame[:len(frame)-1])
		require.NoError(t, err)
		// One write has the end of a message and the beginning of the next. Then nothing arrives for an hour.
		_, err = first.Write(append(frame[len(frame)-1:], frame[:5]...))
		require.NoError(t, err)
		wantError(t, peer, 1, "twisted.spread.flavors.NoSuchMethod")
		time.Sleep(time.Hour)
		second, _ := s.member()
		_, err = second.Write(frame[:len(frame)-1])
		require.NoError(t, err, "its memory is free again")
		require.NoError(t, second.Close())
		_, err = first.Write(frame[5:])
		require.NoError(t, err)
		wantError(t, peer, 1, "twisted.spread.flavors.NoSuchMethod")
	})
}
