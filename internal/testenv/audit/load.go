package audit

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// Load sends requests to nodes until Stop.
type Load[N Node] struct {
	Nodes []N

	// Repeatable adds an Idempotency-Key to creates, so that a balancer may retry them.
	// Default: no key.
	Repeatable bool

	a       *Auditor
	ctx     context.Context //nolint:containedctx // the context of all workers
	stopped chan struct{}
	workers sync.WaitGroup
}

// NewLoad returns a Load without workers. The caller must stop it.
func NewLoad[N Node](ctx context.Context, a *Auditor, nodes []N) *Load[N] {
	return &Load[N]{Nodes: slices.Clone(nodes), a: a, ctx: ctx, stopped: make(chan struct{})}
}

// Stop stops the workers and returns once every answer has arrived.
func (l *Load[N]) Stop() {
	close(l.stopped)
	l.workers.Wait()
}

// Every starts a worker that calls do at an interval, with the nodes in turn. Calls of
// one worker do not overlap.
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
			case <-l.stopped: // select picks randomly if both are ready
				return
			default:
				do(n, l.Nodes[n%len(l.Nodes)])
			}
		}
	})
}

// Creates starts a worker that creates links, with the alias that alias returns, or with
// minted codes if alias is nil. It visits each created link through the next node.
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

// Hot starts a worker for each node that visits the same links repeatedly.
func (l *Load[N]) Hot(links []string) {
	for _, node := range l.Nodes {
		l.Every(5*time.Millisecond, func(n int, _ N) { l.a.Visit(l.ctx, "hot", node, links[n%len(links)]) })
	}
}

// Cold starts a worker that visits each link once, through another node than the one that
// created it.
func (l *Load[N]) Cold(links []string) {
	l.Every(10*time.Millisecond, func(n int, _ N) {
		if n < len(links) {
			l.a.Visit(l.ctx, "cold", l.Nodes[(n+1)%len(l.Nodes)], links[n])
		}
	})
}

// Edits starts a worker that edits links and checks each edit: at once through the same
// node, and after Options.SeenWithin through the next node.
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
		for ; len(due) > 0 && time.Since(due[0].at) > l.a.opts.SeenWithin; due = due[1:] {
			l.a.Visit(l.ctx, "edited", due[0].node, due[0].code)
		}
	})
}
