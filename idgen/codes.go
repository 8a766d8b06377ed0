package idgen

// Placement reports where keys are stored. A database with shards implements it. Safe for
// concurrent use.
type Placement interface {
	// AcceptsWrites reports whether the shard of a key may accept writes now.
	AcceptsWrites(key string) bool

	// Together reports whether a key and a bucket are on one shard.
	Together(key string, bucket int) bool
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

// nearAttempts is the maximum number of codes that NextKeyNear mints. With 16 shards of the same
// size, 2 of 100 calls find no code on the shard.
const nearAttempts = 64

// mintAttempts is the maximum number of codes that NextKey mints. When one of two shards does
// not accept writes, 1 of 256 calls returns a key on this shard.
const mintAttempts = 8

// NextCode is NextKey without a prefix.
func (c *Codes) NextCode() (code string, err error) { return c.NextKey("") }

// NextKey mints a code and returns the key that consists of prefix and the code. Its shard
// accepts writes. After mintAttempts it returns a key on any shard. It returns the errors of
// Minter.Next.
func (c *Codes) NextKey(prefix string) (key string, err error) {
	for range mintAttempts {
		if key, err = c.mint(prefix); err != nil || c.placement == nil || c.placement.AcceptsWrites(key) {
			break
		}
	}
	return key, err
}

// NextKeyNear is NextKey for a key on the shard of a bucket. After nearAttempts it returns a key
// on another shard, which costs the create a second transaction.
func (c *Codes) NextKeyNear(prefix string, bucket int) (key string, err error) {
	for range nearAttempts {
		if key, err = c.mint(prefix); err != nil || c.placement == nil || c.placement.Together(key, bucket) {
			break
		}
	}
	return key, err
}

// mint mints a code for a key on any shard.
func (c *Codes) mint(prefix string) (key string, err error) {
	id, err := c.minter.Next()
	if err != nil {
		return "", err
	}
	code, err := c.cipher.Code(id)
	if err != nil {
		return "", err
	}
	return prefix + code, nil
}
