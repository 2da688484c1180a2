package main

import "bytes"

// The key of a keyed call: a field every target but the sidecar passes on without a look at it.
const (
	keyField  = "X-Idempotency-Key"
	keyPrefix = "bench-"
	keyDigits = 16
)

// key is the place of a key in a prepared request. Its digits are written over for each call: nothing is allocated,
// no length changes, and the generator stays as cheap as without.
type key struct {
	digits []byte // of the request
	next   uint64
}

// keyIn finds the key in a request and starts it where no other connection of no other slice of the run comes: 16
// bits for the slice, 16 for the connection, 32 for the calls. It is nil when the request has none.
func keyIn(request []byte, slice, conn int) *key {
	mark := []byte(keyField + ": " + keyPrefix)
	at := bytes.Index(request, mark)
	if at < 0 {
		return nil
	}
	at += len(mark)
	return &key{digits: request[at : at+keyDigits], next: uint64(slice)<<48 | uint64(conn)<<32}
}

// renew gives the request a key it never had.
func (k *key) renew() {
	if k == nil {
		return
	}
	rest := k.next
	for i := keyDigits - 1; i >= 0; i-- {
		k.digits[i] = "0123456789abcdef"[rest&15]
		rest >>= 4
	}
	k.next++
}
