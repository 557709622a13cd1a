package transport

import (
	"cmp"
	"strconv"
	"strings"
)

// streamIDBefore tells whether the entry of one ID is older than that of another. An ID is the server's time in
// milliseconds, '-', and a number; what is no ID is older than all.
func streamIDBefore(id, other string) bool {
	idTime, idNumber := parseStreamID(id)
	otherTime, otherNumber := parseStreamID(other)
	return cmp.Or(cmp.Compare(idTime, otherTime), cmp.Compare(idNumber, otherNumber)) < 0
}

func parseStreamID(id string) (millis, number uint64) {
	first, second, _ := strings.Cut(id, "-")
	millis, _ = strconv.ParseUint(first, 10, 64)
	number, _ = strconv.ParseUint(second, 10, 64)
	return millis, number
}
