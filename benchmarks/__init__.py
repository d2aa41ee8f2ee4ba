"""What the speed of the server is measured with: `bench_micro` in seconds, `load` side by side with peers."""
