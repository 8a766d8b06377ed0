package web

import (
	"cmp"
	"net/http"
	"time"
)

// Problem is the view model of an error page. Empty fields get the default text
// of the status.
type Problem struct {
	Status     int           // shown on the page; default: the HTTP status of the response
	Title      string        // default: the title of the status
	Detail     string        // default: one sentence about the status
	RetryAfter time.Duration // when to try again; 0 means unknown
}

// Error writes an error page with the given HTTP status.
func (p *Pages) Error(w http.ResponseWriter, status int, v Problem) {
	words := wordsFor(status)
	v.Status = cmp.Or(v.Status, status)
	v.Title = cmp.Or(v.Title, words.title)
	v.Detail = cmp.Or(v.Detail, words.detail)
	p.problem.write(w, status, view{Site: p.opts, Name: v.Title, Page: failure{v, words.next, words.contact, words.retry}})
}

// failure is a Problem with the default advice of its status.
type failure struct {
	Problem
	Next    string
	Contact string // text before the contact of the website; empty: the advice names no contact
	Retry   bool   // whether a retry of the same address may succeed
}

// words are the default texts of a status.
type words struct {
	title, detail, next, contact string
	retry                        bool
}

func wordsFor(status int) words {
	switch status {
	case http.StatusBadRequest:
		return words{title: "Unreadable", detail: "The server did not understand the request.", next: "Go back and send it again."}
	case http.StatusForbidden:
		return words{title: "Not allowed", detail: "The request came from another website.", next: "Open this page directly and try again."}
	case http.StatusNotFound:
		return words{
			title: "Nothing here", detail: "There is no such link.",
			next:    "Check the address. Capital and small letters are different, and the last character is easily lost when copying.",
			contact: "If this link should work, contact",
		}
	case http.StatusGone:
		return words{
			title: "Gone", detail: "This link has expired, has reached its click limit, or was deleted.",
			next: "It will not come back. Ask the sender for a new link.",
		}
	case http.StatusPreconditionFailed:
		return words{title: "It has changed", detail: "Somebody else has changed it in the meantime.", next: "Open it again and look at the changes."}
	case http.StatusUnprocessableEntity:
		return words{title: "Not valid", detail: "Some fields are not valid.", next: "Go back and correct them."}
	case http.StatusRequestEntityTooLarge:
		return words{title: "Too much", detail: "The request is too large.", next: "Go back and shorten your text."}
	case http.StatusMisdirectedRequest:
		return words{
			title: "Not here", detail: "No short links are served under this host.",
			next:    "Check the address. A new domain works as soon as it is verified.",
			contact: "If this link should work, contact",
		}
	case http.StatusTooManyRequests:
		return words{
			title: "Slow down", detail: "Your network sent too many requests.",
			next: "Nothing is broken.", retry: true,
		}
	case http.StatusUnavailableForLegalReasons:
		return words{
			title: "Blocked", detail: "This link was disabled.",
			next:    "It was disabled to protect you from abuse. If it is your link and this is a mistake, contact the owner of this website.",
			contact: "You reach the owner at",
		}
	case http.StatusInternalServerError:
		return words{
			title: "Our fault", detail: "Something went wrong on our side.",
			next: "The error is in our log. Please try again in a moment.", retry: true,
		}
	case http.StatusServiceUnavailable:
		return words{
			title: "Back soon", detail: "The server cannot answer right now.",
			next: "Your link is safe. Please try again in a moment.", retry: true,
		}
	}
	return words{title: cmp.Or(http.StatusText(status), "No answer"), detail: "The server could not answer the request.", next: "Start again from the home page."}
}
