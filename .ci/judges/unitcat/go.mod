module gen.example/ci/judges/unitcat

go 1.26.0
