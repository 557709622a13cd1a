package wire

import "errors"

// Open returns these as they are; every other refusal is a *FormatError.
var (
	// ErrCorrupt is returned for bytes that are no frame, or not the frame that was sent: too short, without
	// the magic, or with a wrong checksum.
	ErrCorrupt = errors.New("wire: corrupt frame")

	// ErrVersion is returned for a frame of a version newer than [Version].
	ErrVersion = errors.New("wire: frame of a newer version")

	// ErrTooLarge is returned for a frame that is larger than the limit, or would be when decompressed.
	ErrTooLarge = errors.New("wire: frame too large")
)

// FormatError says which field of an intact frame breaks the format: its sender is faulty, foreign or hostile.
type FormatError struct {
	Field string // such as "record key": one of a few dozen constants, fit for a metric label
}

func (e *FormatError) Error() string { return "wire: malformed " + e.Field }
