package idgen

// Placement reports where codes are stored. A database with shards implements it. Safe for
// concurrent use.
type Placement interface {
	// AcceptsWrites reports whether the shard of a code may accept writes now.
	AcceptsWrites(code string) bool

	// Together reports whether a code and a bucket are on one shard.
	Together(code string, bucket int) bool
}

// Codes mints codes that no other node mints. Safe for concurrent use.
type Codes struct {
	minter    *Minter
	cipher    *Cipher
	placement Placement
}

// NewCodes returns Codes with the ids of a Minter. placement is nil for a database without
// shards. The caller closes the Minter.
func NewCodes(minter *Minter, cipher *Cipher, placement Placement) *Codes {
	return &Codes{minter, cipher, placement}
}

// nearAttempts is the maximum number of codes that NextCodeNear mints. With 16 shards of the same
// size, 2 of 100 calls find no code on the shard.
const nearAttempts = 64

// mintAttempts is the maximum number of codes that NextCode mints. When one of two shards does
// not accept writes, 1 of 256 calls returns a code on this shard.
const mintAttempts = 8

// NextCode mints a code on a shard that accepts writes. After mintAttempts it returns a code on
// any shard. It returns the errors of Minter.Next.
func (c *Codes) NextCode() (code string, err error) {
	for range mintAttempts {
		if code, err = c.mint(); err != nil || c.placement == nil || c.placement.AcceptsWrites(code) {
			break
		}
	}
	return code, err
}

// NextCodeNear mints a code on the shard of a bucket. After nearAttempts it returns a code on
// another shard, which costs the create a second transaction.
func (c *Codes) NextCodeNear(bucket int) (code string, err error) {
	for range nearAttempts {
		if code, err = c.mint(); err != nil || c.placement == nil || c.placement.Together(code, bucket) {
			break
		}
	}
	return code, err
}

// mint mints a code on any shard.
func (c *Codes) mint() (string, error) {
	id, err := c.minter.Next()
	if err != nil {
		return "", err
	}
	return c.cipher.Code(id)
}
