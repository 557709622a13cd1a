package podshare

// counters are what a replica counts of its own doing.
type counters struct {
	local, applied, rejected, duplicates uint64
	collected, forced, vanished, refused uint64
	heartbeats                           uint64
	repairs, repairsFailed, repaired     uint64
	repairBytes, repairSent, answers     uint64
	digestMismatches                     uint64
	forgotten                            int
	gaps                                 uint64
	delay                                Delays
}
