package main

// Example runs the program; its output is what a reader is promised.
func Example() {
	main()
	// Output:
	// pod-a: Set requests-per-second = 100
	// pod-b: watched: requests-per-second = 100, by pod-a
	// pod-b: Get requests-per-second = 100, true
	//
	// pod-b: TrySet requests-per-second = 200: won = true
	// pod-b: TrySet requests-per-second = 300: won = false
	// pod-b: watched: requests-per-second = 200, by pod-b
	//
	// pod-b: Delete requests-per-second
	// pod-b: watched: delete of requests-per-second, by pod-b
	// pod-b: Get requests-per-second: held = false
}
