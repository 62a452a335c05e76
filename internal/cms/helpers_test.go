package cms

import "crypto"

func (a Algorithm) digest(message []byte) []byte { return a.scheme().digest(message) }

func (a Algorithm) verify(pub crypto.PublicKey, message, value []byte, salt int) error {
	return a.scheme().verify(pub, message, value, salt)
}
