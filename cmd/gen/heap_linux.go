package main

import "syscall"

// adviseLargePages asks for large pages; a kernel that has none may say no.
func adviseLargePages(space []byte) { _ = syscall.Madvise(space, syscall.MADV_HUGEPAGE) }
