module github.com/podshare/podshare/bench

go 1.25.0

require (
	github.com/maypok86/otter/v2 v2.4.0
	github.com/podshare/podshare v0.0.0
	github.com/puzpuzpuz/xsync/v4 v4.5.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/vmihailenco/msgpack/v5 v5.4.1 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
)

replace github.com/podshare/podshare => ../
