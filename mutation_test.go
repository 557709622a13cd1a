package podshare

import (
	"fmt"
	"math/bits"
	"testing"
)

// Switching off any rule of rule.go makes a scenario fail: no protection is there for nothing, and no
// test passes for nothing.
func TestRuleSwitchedOff(t *testing.T) {
	for x := rule(1); x <= lastRule; x <<= 1 {
		t.Run(fmt.Sprintf("rule %d", bits.TrailingZeros64(uint64(x))), func(t *testing.T) {
			tried := 0
			for _, s := range scenarios() {
				if s.breaks != x {
					continue
				}
				tried++
				if s.without != 0 {
					if err := s.run(s.without, nil); err != nil {
						t.Errorf("%q fails with only the other rule switched off: %v", s.name, err)
					}
				}
				if err := s.run(x|s.without, nil); err == nil {
					t.Errorf("%q passes without the rule", s.name)
				} else {
					t.Logf("%q: %.150v", s.name, err)
				}
			}
			if tried == 0 {
				t.Error("nothing tests the rule")
			}
		})
	}
}

const lastRule = ruleCaughtUpPeer
