module gen.example/packets

go 1.26
