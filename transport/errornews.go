package transport

// errorNews calls an error handler for errors that differ from the one before: what goes wrong again and again, in
// the same way, is told once. It is not safe for concurrent use.
type errorNews struct {
	handler func(error) // may be nil
	last    string      // what the handler heard last, "" once that is over
}

// report tells the handler of err. Nil says that the trouble is over: the next error is told whatever it says. A panic
// of the handler is discarded.
func (n *errorNews) report(err error) {
	if err == nil {
		n.last = ""
		return
	}
	if n.handler == nil || err.Error() == n.last {
		return
	}
	n.last = err.Error()
	defer func() { _ = recover() }() // there is nobody left to tell
	n.handler(err)
}
