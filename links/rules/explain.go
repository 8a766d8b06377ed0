package rules

// Result is what a rule said to a visit.
type Result struct {
	Applies bool // the rule picks the target

	// Failed is the first condition that does not hold, such as "if.device" or "if.not". It is
	// empty if all hold: the rule applies, or an earlier one does.
	Failed string

	// Unknown is whether the condition does not hold because its fact is unknown.
	Unknown bool
}

// Explain returns the choice for a visit, as Choose does, and the result of each rule.
func (s *Set) Explain(v *Visit) (Choice, []Result) {
	f := s.facts(v)
	choice := noRule
	results := make([]Result, len(s.rules))
	for i := range s.rules {
		r := &s.rules[i]
		why, t := r.holds(&f)
		switch {
		case t == yes && choice.Rule < 0:
			choice = r.choose(i, v)
			results[i].Applies = true
		case t == yes:
		case why.not:
			results[i] = Result{Failed: "if.not", Unknown: t == unknown}
		default:
			results[i] = Result{Failed: "if." + memberNames[why.member], Unknown: t == unknown}
		}
	}
	return choice, results
}
