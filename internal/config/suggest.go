package config

import "strings"

// list joins words for a message.
func list(words []string) string { return strings.Join(words, ", ") }

// sample shows, behind the message about it, how the key looks that nobody can guess; "" for one with a built-in value.
func sample(key string) string {
	switch key {
	case "adapters":
		return ", such as adapters: { sales-system: { upstream: https://api.example.com } }"
	case "upstream":
		return ", such as upstream: https://api.example.com"
	}
	return ""
}

// meant is a question that names the closest of the allowed words, or "" when none is close.
func meant(word string, allowed []string) string {
	best, least := "", max(2, len(word)/2)+1
	if len(word) > 64 { // nobody mistypes a word of that length, and comparing costs its square
		return ""
	}
	for _, a := range allowed {
		if d := distance(strings.ToLower(word), a); d < least {
			best, least = a, d
		}
	}
	if best == "" || least >= len(best) {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is the least number of letters to insert, remove, replace or swap with a neighbour (optimal string
// alignment) that makes b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
