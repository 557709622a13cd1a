// Package fleettest is what tests of fleets under faults share: writers that never rest, diaries of what stores have
// accepted from them, and the judgement of what the stores hold once the fault is over.
package fleettest
