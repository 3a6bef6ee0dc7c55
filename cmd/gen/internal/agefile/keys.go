package agefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// Tag is how a stanza names the ssh-ed25519 key it is for: the first four bytes
// of a hash of the public key, in base64. The key is a line as ssh-keygen
// writes it to a .pub file.
func Tag(publicKey string) (string, error) {
	line, rest, _ := strings.Cut(publicKey, "\n")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != Ed25519 || strings.TrimSpace(rest) != "" {
		return "", errors.New("it is not one line that begins with ssh-ed25519")
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(words[1])
	if err != nil || !bytes.Equal(wire, wireKey(wire)) {
		return "", errors.New("its key is damaged")
	}
	hash := sha256.Sum256(wire)
	return b64.EncodeToString(hash[:4]), nil
}

// wireKey is what an ssh-ed25519 key looks like that ends like b: its type and
// 32 bytes, each after its length.
func wireKey(b []byte) []byte {
	key := b[max(0, len(b)-32):]
	out := binary.BigEndian.AppendUint32(nil, uint32(len(Ed25519)))
	out = append(out, Ed25519...)
	out = binary.BigEndian.AppendUint32(out, 32)
	return append(out, key...)
}

// Recipient checks that s is the public half of an age identity, age1….
// Its last six letters are a checksum (BIP 173, bech32).
func Recipient(s string) error {
	const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	data, ok := strings.CutPrefix(s, "age1")
	if !ok || len(data) != 58 {
		return errors.New("it is not age1 and 58 letters")
	}
	sum := uint32(1)
	for _, c := range "age" {
		sum = polymod(sum, byte(c)>>5)
	}
	sum = polymod(sum, 0)
	for _, c := range "age" {
		sum = polymod(sum, byte(c)&31)
	}
	for _, c := range data {
		i := strings.IndexRune(letters, c)
		if i < 0 {
			return errors.New("it has a letter that such keys do not have")
		}
		sum = polymod(sum, byte(i))
	}
	if sum != 1 {
		return errors.New("it has a typing error")
	}
	return nil
}

// polymod takes one more letter into a bech32 checksum.
func polymod(sum uint32, v byte) uint32 {
	top := sum >> 25
	sum = sum&0x1ffffff<<5 ^ uint32(v)
	for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
		if top>>i&1 == 1 {
			sum ^= g
		}
	}
	return sum
}
