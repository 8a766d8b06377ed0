package audit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// Load is what is asked of nodes, again and again, until it is stopped.
type Load[N Node] struct {
	Nodes []N

	// Repeatable lets creates carry an Idempotency-Key, so that a balancer may repeat
	// them. Default: they carry none.
	Repeatable bool

	a       *Auditor
	ctx     context.Context //nolint:containedctx // that of all its workers
	stopped chan struct{}
	workers sync.WaitGroup
}

// NewLoad returns a load without workers. The caller ends it with Stop.
func NewLoad[N Node](ctx context.Context, a *Auditor, nodes []N) *Load[N] {
	return &Load[N]{Nodes: slices.Clone(nodes), a: a, ctx: ctx, stopped: make(chan struct{})}
}

// Stop returns once every answer was seen.
func (l *Load[N]) Stop() {
	close(l.stopped)
	l.workers.Wait()
}

// Every starts a worker that does something at an interval, but one thing at a
// time, with the nodes in turn.
func (l *Load[N]) Every(interval time.Duration, do func(n int, node N)) {
	l.workers.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-l.stopped:
				return
			case <-tick.C:
			}
			select {
			case <-l.stopped: // both may be true at once
				return
			default:
				do(n, l.Nodes[n%len(l.Nodes)])
			}
		}
	})
}

// Creates starts a worker that creates links, under aliases or, where that is nil, minted
// codes. What it has created is visited through the next node.
func (l *Load[N]) Creates(alias func() string) {
	l.Every(10*time.Millisecond, func(n int, node N) {
		name := ""
		if alias != nil {
			name = alias()
		}
		var header []string
		if l.Repeatable {
			header = []string{"Idempotency-Key", store.NewKeyID()}
		}
		if code := l.a.Create(l.ctx, node, name, header...); code != "" {
			l.a.Visit(l.ctx, "fresh", l.Nodes[(n+1)%len(l.Nodes)], code)
		}
	})
}

// Hot starts a worker for each node that visits the same links again and again.
func (l *Load[N]) Hot(links []string) {
	for _, node := range l.Nodes {
		l.Every(5*time.Millisecond, func(n int, _ N) { l.a.Visit(l.ctx, "hot", node, links[n%len(links)]) })
	}
}

// Cold starts a worker that visits each link of a seed once, through a node that
// was never asked for it.
func (l *Load[N]) Cold(links []string) {
	l.Every(10*time.Millisecond, func(n int, _ N) {
		if n < len(links) {
			l.a.Visit(l.ctx, "cold", l.Nodes[(n+1)%len(l.Nodes)], links[n])
		}
	})
}

// Edits starts a worker that edits links and looks at what it did: at once
// through the same node, and through the next as soon as that must know.
func (l *Load[N]) Edits(links []string) {
	type edited struct {
		at   time.Time
		node N
		code string
	}
	var due []edited
	l.Every(10*time.Millisecond, func(n int, node N) {
		code := links[n%len(links)]
		l.a.Edit(l.ctx, node, code)
		l.a.Visit(l.ctx, "edited", node, code)
		l.a.Read(l.ctx, node, code)
		due = append(due, edited{time.Now(), l.Nodes[(n+1)%len(l.Nodes)], code})
		for ; len(due) > 0 && time.Since(due[0].at) > SeenWithin; due = due[1:] {
			l.a.Visit(l.ctx, "edited", due[0].node, due[0].code)
		}
	})
}
