package envelope

import "time"

// SealWith and SealFileWith fix what is random otherwise, for test vectors.
func SealWith(k Key, nonce [24]byte, plaintext, aad []byte) []byte {
	return sealWith(k, nonce, plaintext, aad)
}

func SealFileWith(passphrase []byte, p Params, created time.Time, salt [16]byte, nonce [24]byte, nodeID string, prefix byte, seed Key, keks ...Key) []byte {
	f := &File{
		Header: Header{Purpose: PurposeNode, Created: created, Params: p, salt: salt},
		NodeID: nodeID, SerialPrefix: prefix, node: seed, keks: keks,
	}
	return f.sealWith(passphrase, nonce)
}

// ParseHeader reads the outside of a file, without Argon2id.
func ParseHeader(b []byte) (Header, []byte, error) { return parseFile(b) }

// EncodeHeader is the counterpart of ParseHeader.
func EncodeHeader(h Header, box []byte) []byte { return encodeFile(h, box) }

// ParsePayload reads the inside of a file.
func ParsePayload(b []byte) (*File, error) {
	return parsePayload(Header{Purpose: PurposeNode, Created: time.Unix(0, 0).UTC(), Params: Params{}.withDefaults()}, b)
}

// EncodePayload is the counterpart of ParsePayload.
func EncodePayload(f *File) []byte { return f.payload() }
