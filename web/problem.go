package web

import (
	"cmp"
	"net/http"
	"time"
)

// Problem says why there is no page, and what the visitor can do.
type Problem struct {
	Status     int           // shown; default: the status of the answer
	Title      string        // default: a word or two for the status
	Detail     string        // default: a sentence for the status
	RetryAfter time.Duration // when to try again; 0 for unknown
}

// Error writes the page of a problem.
func (p *Pages) Error(w http.ResponseWriter, status int, v Problem) {
	words := wordsFor(status)
	v.Status = cmp.Or(v.Status, status)
	v.Title = cmp.Or(v.Title, words.title)
	v.Detail = cmp.Or(v.Detail, words.detail)
	p.problem.write(w, status, view{Site: p.opts, Name: v.Title, Page: failure{v, words.next, words.retry}})
}

// failure is a problem with what to do about it.
type failure struct {
	Problem
	Next  string
	Retry bool // whether the same address may work later
}

// words are what a page says about a status.
type words struct {
	title, detail, next string
	retry               bool
}

func wordsFor(status int) words {
	switch status {
	case http.StatusBadRequest:
		return words{title: "Unreadable", detail: "The request could not be understood.", next: "Go back and send it again."}
	case http.StatusForbidden:
		return words{title: "Not allowed", detail: "This cannot be done from here.", next: "Open the page yourself and try from there."}
	case http.StatusNotFound:
		return words{
			title: "Nothing here", detail: "There is no such link.",
			next: "Check the address for a slip: capital and small letters differ, and the last character is easily lost when copying.",
		}
	case http.StatusGone:
		return words{
			title: "Gone", detail: "This link has expired, was used up or was deleted.",
			next: "It will not come back. Ask whoever gave it to you for a new one.",
		}
	case http.StatusRequestEntityTooLarge:
		return words{title: "Too much", detail: "More was sent than is taken.", next: "Go back and shorten what you typed."}
	case http.StatusTooManyRequests:
		return words{
			title: "Slow down", detail: "Too many requests came from your network.",
			next: "Nothing is broken.", retry: true,
		}
	case http.StatusUnavailableForLegalReasons:
		return words{
			title: "Blocked", detail: "This link was disabled.",
			next: "It was stopped because of abuse, to protect you. If it is yours and this is a mistake, write to whoever runs this site.",
		}
	case http.StatusInternalServerError:
		return words{
			title: "Our fault", detail: "Something went wrong on our side.",
			next: "It has been noted. Please try again in a moment.", retry: true,
		}
	case http.StatusServiceUnavailable:
		return words{
			title: "Back soon", detail: "This cannot be answered just now.",
			next: "Your link is safe: only the answer is late.", retry: true,
		}
	}
	return words{title: cmp.Or(http.StatusText(status), "No answer"), detail: "The request could not be answered.", next: "Start again from the home page."}
}
