// Package wire encodes and decodes the frames of podshare. It knows bytes and their limits, nothing of what
// a store does with them; docs/wire.md is its specification.
//
// # Sending
//
// Every message has an Append that adds one sealed frame to a buffer of the caller. Messages with records
// take them from a [Records], which holds them encoded already. Append does not judge what it is given: it is
// the caller who keeps to the ranges documented on the fields, and a reader who refuses what breaks them.
//
// # Receiving
//
// [Open] checks the envelope of a frame and returns its header and body, the fields of its kind, for the Parse
// of that kind's message:
//
//	h, body, err := wire.Open(frame, limits)
//	…
//	switch h.Kind {
//	case wire.KindData:
//		err = data.Parse(body)
//
// What Parse returns points into the body and lives as long as it; slices of the message itself are reused by
// its next Parse. After an error the contents of a message are unspecified.
//
// # Guarantees
//
//   - Every frame is one valid msgpack value.
//   - No input panics. No input makes a reader allocate more than a constant times its own length, or
//     loop longer than that: lengths are compared with the bytes that are left, and lists grow as their elements
//     arrive.
//   - A message that parses is within the ranges documented on its fields, and appends to a frame that parses to
//     the same message.
//   - Appending and parsing a data frame allocate nothing once the buffers have grown, unless it is compressed.
package wire
