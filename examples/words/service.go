package main

import "github.com/perspectivebroker/pb/flavors"

// The classes that references of twisted.words.service carry.
const (
	mindClass   = "twisted.words.service.PBMind"
	avatarClass = "twisted.words.service.ChatAvatar"
	groupClass  = "twisted.words.service.PBGroup"
)

// Failures of twisted.words.
var (
	wordsError     = flavors.NewException("twisted.words.ewords.WordsError")
	errNoSuchGroup = flavors.NewException("twisted.words.ewords.NoSuchGroup", wordsError)
)
