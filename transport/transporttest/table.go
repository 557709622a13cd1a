package transporttest

import (
	"testing"

	"github.com/podshare/podshare"
)

// Table is a transport that also keeps snapshots in rows.
type Table interface {
	Transport
	podshare.SnapshotTable
}

// RunTable tests that a transport keeps the contract of [podshare.SnapshotTable] as well; [Run] tests the rest of
// it. newTable returns a new, working transport whenever it is called, and may use t to clean up; RunTable closes
// the transport itself. Topics are new in every run, so that a broker may be shared. Of the options only
// [WithPatience] matters here.
func RunTable(t *testing.T, newTable func(t *testing.T) Table, opts ...Option) {
	t.Helper()
	c := config{patience: defaultPatience}
	for _, opt := range opts {
		opt.apply(&c)
	}
	for _, r := range tableRules() {
		t.Run(r.name, func(t *testing.T) {
			w := world{TB: t, patience: c.patience}
			tr := newTable(t)
			w.closeLater(tr)
			r.check(tableWorld{world: w, Table: tr, topic: w.topic("table")})
		})
	}
}

// tableRule is one sentence of the contract.
type tableRule struct {
	name  string
	check func(w tableWorld)
}

func tableRules() []tableRule {
	return []tableRule{
		{"a row that is not there has no head", missingRowHasNoHead},
		{"heads come in the order of their names", headsComeInOrder},
		{"a row comes back as it was stored", rowComesBackAsStored},
		{"a topic's rows are its own", topicsRowsAreItsOwn},
		{"a key stands once in each section", sectionsAreSeparate},
		{"the rows stand beside the snapshot", rowsStandBesideSnapshot},
		{"a change without a head removes the row", changeWithoutHeadRemoves},
		{"a change to the same head leaves the row", changeToSameHeadLeaves},
		{"one wrong head and nothing changes", oneWrongHeadChangesNothing},
		{"of concurrent changes to one row one is made", oneOfConcurrentChangesIsMade},
		{"concurrent changes are made at once", concurrentChangesAreAtomic},
		{"many rows change in one call", manyRowsChange},
		{"row slices belong to the caller", rowSlicesBelongToCaller},

		{"a scan brings every row of its section", scanBringsEveryRow},
		{"a scan brings rows that change meanwhile", scanBringsChangingRows},
		{"a scan ends with the error of its function", scanEndsWithError},
		{"a scan leaves others alone", scanLeavesOthersAlone},
		{"a closed transport returns errors for rows", closedTableReturnsErrors},
		{"an ended context changes no row", endedContextChangesNoRow},
	}
}
