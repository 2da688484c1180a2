package main

import "syscall"

// ofItsOwn is a process group of its own, so that Ctrl-C reaches the bench first and the bench ends the rest in
// order; should the bench itself be killed, the kernel sends the child the given signal.
func ofItsOwn(orphaned syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
}
