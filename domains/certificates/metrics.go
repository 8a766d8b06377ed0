package certificates

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// counts are the certificates in memory.
type counts struct {
	states    map[store.CertificateState]int
	end       time.Time     // the nearest end; zero without certificates
	remaining float64       // the smallest remaining share of a lifetime; 1 without certificates
	missing   time.Duration // the longest time that a managed host is without a certificate
}

func newCounts() counts {
	return counts{states: map[store.CertificateState]int{store.CertificateValid: 0, store.CertificateExpired: 0, store.CertificateFailed: 0}, remaining: 1}
}

// add counts a certificate.
func (c *counts) add(leaf *x509.Certificate, now time.Time) {
	c.states[described(store.CertificateStatus{}, leaf, now).State]++
	if c.end.IsZero() || leaf.NotAfter.Before(c.end) {
		c.end = leaf.NotAfter
	}
	c.remaining = min(c.remaining, max(0, leaf.NotAfter.Sub(now).Seconds()/leaf.NotAfter.Sub(leaf.NotBefore).Seconds()))
}

// metrics are the metrics of certificates. Their number does not depend on the number of hosts.
type metrics struct {
	obtained, failures, unreachable prometheus.Counter

	count                                func() counts
	states, expires, remainders, missing *prometheus.Desc
}

func newMetrics(reg prometheus.Registerer, count func() counts) (*metrics, error) {
	orders := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "terse_certificate_orders_total",
		Help: "Orders of certificates by result: obtained, failed, or unreachable if the check before the order failed.",
	}, []string{"result"})
	m := &metrics{
		obtained: orders.WithLabelValues("obtained"), failures: orders.WithLabelValues("failed"), unreachable: orders.WithLabelValues("unreachable"),
		count: count,
		states: prometheus.NewDesc("terse_certificates",
			"Hosts by the state of their certificate: valid, expired, or failed if it is missing and the latest attempt failed. The host of the base URL, and the verified hosts of domains.", []string{"state"}, nil),
		expires: prometheus.NewDesc("terse_certificate_expires_timestamp_seconds",
			"The nearest end of a certificate that this node serves. Absent without certificates.", nil, nil),
		remainders: prometheus.NewDesc("terse_certificate_remaining_ratio",
			"The smallest remaining share of the lifetime of a certificate that this node serves, from 1 to 0. Absent without certificates.", nil, nil),
		missing: prometheus.NewDesc("terse_certificate_missing_seconds",
			"The longest time that a verified host has been without a certificate on this node, since its start; 0 if none is.", nil, nil),
	}
	if err := errors.Join(reg.Register(orders), reg.Register(m)); err != nil {
		return nil, fmt.Errorf("certificates: register metrics: %w", err)
	}
	return m, nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- m.states
	descs <- m.expires
	descs <- m.remainders
	descs <- m.missing
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	c := m.count()
	for state, n := range c.states {
		out <- prometheus.MustNewConstMetric(m.states, prometheus.GaugeValue, float64(n), string(state))
	}
	out <- prometheus.MustNewConstMetric(m.missing, prometheus.GaugeValue, c.missing.Seconds())
	if c.end.IsZero() {
		return
	}
	out <- prometheus.MustNewConstMetric(m.expires, prometheus.GaugeValue, float64(c.end.Unix()))
	out <- prometheus.MustNewConstMetric(m.remainders, prometheus.GaugeValue, c.remaining)
}

// count counts the certificates in memory and the hosts without one.
func (m *Manager) count() counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, now := newCounts(), m.opts.Now()
	for host := range m.loaded {
		cert := m.cached(host)
		if cert == nil || !m.opts.Hosts.Allowed(host) {
			delete(m.loaded, host)
			continue
		}
		c.add(cert.Leaf, now)
	}
	for host := range m.failed {
		switch {
		case !m.opts.Hosts.Allowed(host):
			delete(m.failed, host)
		case !m.loaded[host]:
			c.states[store.CertificateFailed]++
		}
	}
	for host, since := range m.managed {
		if !m.loaded[host] && m.opts.Hosts.Allowed(host) {
			c.missing = max(c.missing, now.Sub(since))
		}
	}
	return c
}
