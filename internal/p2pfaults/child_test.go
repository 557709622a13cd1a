//go:build linux

package p2pfaults

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/podshare/podshare/internal/fleettest"
)

// childEnv is set where the test binary is to run a pod instead of tests.
const childEnv = "PODSHARE_P2PFAULTS_POD"

// order is what a pod of another process is to do. It answers each with a report.
type order struct {
	Do         string
	Key, Value string
}

// report is what was asked for.
type report struct {
	Status   status
	Diary    fleettest.Diary
	Contents fleettest.Contents
}

// runChild runs a pod: first comes its config, which is answered when it is there, then orders, until there are no more:
// so it ends with its parent, too.
func runChild(in io.Reader, out io.Writer) (code int) {
	orders, reports := json.NewDecoder(in), json.NewEncoder(out)
	var c config
	if err := orders.Decode(&c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	p, err := openPod(c, c.options())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer p.close()
	for r := (report{}); ; {
		if err := reports.Encode(r); err != nil {
			return 1
		}
		var o order
		if err := orders.Decode(&o); err != nil {
			return 1
		}
		r = report{}
		switch o.Do {
		case "write":
			p.write()
		case "stop":
			p.stop()
		case "set":
			p.set(o.Key, o.Value)
		case "remove":
			p.remove(o.Key)
		case "status":
			r.Status = p.status()
		case "diary":
			r.Diary = p.diary()
		case "contents":
			r.Contents = p.contents()
		case "close":
			return 0
		default:
			fmt.Fprintln(os.Stderr, "what is", o.Do)
			return 1
		}
	}
}
