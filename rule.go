package podshare

// rule is one of the protections that the guarantees rest on. A test can switch each off to see that
// something fails without it; a Store has all of them on. DESIGN.md says what each protects from.
type rule uint64

const (
	ruleDropCovered rule = 1 << iota
	ruleCoverReplaced
	ruleStampAfterReplaced
	ruleStampAfterFloor
	ruleSeedsBelowWrites
	ruleObserveWithinSkew
	ruleMedianClock
	ruleDeleteDropsOlder
	ruleLatchExpired
	ruleCollectInContact
	ruleCollectAfterExchange
	ruleCollectContiguous
	ruleKeepLapsed
	ruleServeHeardOwners
	ruleLapseNotice
	ruleRewriteLapsed
	ruleCompareHashes
	ruleCompareDigest
	ruleBackOff
	ruleSeries
	ruleRepairAtOnce
	ruleCaptureVector
	ruleRestHash
	ruleMarks
	ruleAbsence
	ruleHoles
	ruleRefuseBatch
	ruleOneAnswer
	ruleLatchLapsed
	ruleGoodbyeLapses
	ruleAskAgain
	ruleCaughtUpPeer
)

func (r *replica[T]) on(x rule) bool { return r.cfg.off&x == 0 }
