"""Developer tools: benchmarks, comparisons with reference numbers, training of the bundled checkpoint."""
