package finding

// A Code names a kind of mistake. Codes never change their meaning.
type Code string

// The hundreds say where a mistake is found: 1 reading CUE, 2 whether the fleet
// fits together, 3 containers and units, 4 files and data, 5 secrets, 6 the finished tree.
const (
	Syntax       Code = "GEN101"
	Unreadable   Code = "GEN102"
	Unsupported  Code = "GEN103"
	Import       Code = "GEN104"
	TopLevel     Code = "GEN105"
	HostNames    Code = "GEN106"
	NoHosts      Code = "GEN107"
	Package      Code = "GEN108"
	UnknownField Code = "GEN110"
	Required     Code = "GEN111"
	Value        Code = "GEN112"
	Fixed        Code = "GEN113"
	Reference    Code = "GEN114"
	OtherHost    Code = "GEN115"
	NoSuchHost   Code = "GEN120"
	NotAge       Code = "GEN501"
)

const (
	TwoWriters   Code = "GEN601"
	NoSuchUnit   Code = "GEN602"
	NoSuchFile   Code = "GEN603"
	NoSuchSecret Code = "GEN604"
	UnitCycle    Code = "GEN605"
)

const (
	Address         Code = "GEN201"
	Overlap         Code = "GEN202"
	PublicName      Code = "GEN203"
	Socket          Code = "GEN204"
	NoIPv6          Code = "GEN205"
	Proxy           Code = "GEN206"
	HostName        Code = "GEN207"
	System          Code = "GEN208"
	Image           Code = "GEN301"
	ImageVolume     Code = "GEN302"
	NoSuchVolume    Code = "GEN303"
	NoSuchContainer Code = "GEN304"
	Health          Code = "GEN305"
	Mount           Code = "GEN306"
	Reload          Code = "GEN307"
	UnitName        Code = "GEN310"
	UnitKey         Code = "GEN311"
	KeyTooNew       Code = "GEN312"
	UnitValue       Code = "GEN313"
	BadText         Code = "GEN401"
	BadPath         Code = "GEN402"
	Contents        Code = "GEN403"
	DataLine        Code = "GEN404"
	SecretReference Code = "GEN502"
	NoCiphertext    Code = "GEN503"
	SecretName      Code = "GEN504"
)
