package secret

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
)

// alphabets by name. None has a letter with a meaning in URLs, shells, YAML or
// quadlets: a password in a database's URL must survive them all.
var alphabets = map[string]string{
	"letters": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
	"hex":     "0123456789abcdef",
	"digits":  "0123456789",
	"easy":    "abcdefghijkmnpqrstuvwxyz23456789", // without those that look alike
}

// DefaultLength is that of a random value: with letters, 238 bits.
const DefaultLength = 40

// DefaultAlphabet is letters and digits.
const DefaultAlphabet = "letters"

// Random is a value of a length, evenly drawn from an alphabet: one of those
// with a name, or the characters themselves.
func Random(length int, alphabet string) ([]byte, error) {
	letters, ok := alphabets[alphabet]
	if !ok {
		letters = alphabet
	}
	if bad := strings.IndexFunc(letters, func(r rune) bool { return r < ' ' || r > '~' }); bad >= 0 || len(distinct(letters)) < 2 || len(distinct(letters)) < len(letters) {
		return nil, Refuse("it is letters, hex, digits or easy, or the characters themselves, each once", "%q is no alphabet", alphabet)
	}
	if length < 1 || length > 1<<16 {
		return nil, Refuse("", "a value cannot have %d characters", length)
	}
	value := make([]byte, length)
	for i := range value {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return nil, err
		}
		value[i] = letters[n.Int64()]
	}
	return value, nil
}

func distinct(s string) []byte {
	b := []byte(s)
	slices.Sort(b)
	return slices.Compact(b)
}

// WireGuard is a key pair as wg genkey and wg pubkey print it, without a newline.
func WireGuard() (private []byte, public string, err error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", err
	}
	b := key.Bytes()
	// wg clamps a key when it makes one; X25519 does when it uses one.
	b[0] &= 248
	b[31] = b[31]&127 | 64
	return []byte(base64.StdEncoding.EncodeToString(b)), base64.StdEncoding.EncodeToString(key.PublicKey().Bytes()), nil
}

// WireGuardPublic is the public half of a private key of WireGuard's, "" if it is none.
func WireGuardPublic(private []byte) string {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(private)))
	if err != nil {
		return ""
	}
	key, err := ecdh.X25519().NewPrivateKey(b)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(key.PublicKey().Bytes())
}
