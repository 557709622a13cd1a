package wire

import "strconv"

// Kind says which message a frame carries.
type Kind uint8

// The kinds of version 1.
const (
	KindData      Kind = iota + 1 // writes, broadcast
	KindHeartbeat                 // liveness, and the hashes that show a difference
	KindGoodbye                   // the sender's run ends
	KindWant                      // asks one peer for what the sender lacks
	KindList                      // asks for a want that lists all origins
	KindHave                      // one chunk of the answer to a want
	KindMore                      // lets the answerer go on
	KindLapse                     // tells an owner that its owned keys are seen differently
	KindSnapshot                  // stored state
	KindAsk                       // asks who has seen all writes of the sender
	KindSeen                      // answers that
)

// fields returns how many elements a body of this kind has after the header, and 0, false for an unknown kind.
func (k Kind) fields() (n int, known bool) {
	switch k {
	case KindData:
		return dataFields, true
	case KindHeartbeat:
		return heartbeatFields, true
	case KindGoodbye:
		return goodbyeFields, true
	case KindWant:
		return wantFields, true
	case KindList:
		return listFields, true
	case KindHave:
		return haveFields, true
	case KindMore:
		return moreFields, true
	case KindLapse:
		return lapseFields, true
	case KindSnapshot:
		return snapshotFields, true
	case KindAsk:
		return askFields, true
	case KindSeen:
		return seenFields, true
	default:
		return 0, false
	}
}

// String returns the name of the kind, fit for a metric label.
func (k Kind) String() string {
	switch k {
	case KindData:
		return "data"
	case KindHeartbeat:
		return "heartbeat"
	case KindGoodbye:
		return "goodbye"
	case KindWant:
		return "want"
	case KindList:
		return "list"
	case KindHave:
		return "have"
	case KindMore:
		return "more"
	case KindLapse:
		return "lapse"
	case KindSnapshot:
		return "snapshot"
	case KindAsk:
		return "ask"
	case KindSeen:
		return "seen"
	default:
		return "kind(" + strconv.Itoa(int(k)) + ")"
	}
}
