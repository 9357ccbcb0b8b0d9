"""Coverage-guided fuzzing of all that decodes bytes of a file; docs/decisions/0012-one-fuzzer-for-all-decoders.md.

`forms` makes files with right checksums of fuzzed parts, `native` and `files` have the targets, `examples` first seeds,
`seeds` the kept ones; `engine` builds and runs libFuzzer, `process` is what runs inside it.
"""
