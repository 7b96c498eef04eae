package main

import (
	"bufio"
	"bytes"
	"regexp"
	"time"
)

const (
	// Lines of one text are written together. A long line's chunks are, too, unless the program pauses within it.
	lineGap  = 500 * time.Millisecond
	chunkGap = 5 * time.Second
	// How long after its time a line may appear in the file. The waits are short, as a deleted pod's files are gone.
	slack = 300 * time.Millisecond
	// A line is cut there; the lines of one text are not joined beyond.
	maxLine = 1 << 20
	maxText = 256 << 10
	// These bound the memory: what is read at a time is 100 tokens of each of a few files.
	smallToken = 16 << 10
	largeToken = 128 << 10
)

// group is what becomes one document: chunks of a long line, or lines of one text, of one stream.
//
// Which lines belong together depends on the lines and their times alone, not on when they are read: a group that is
// read again after a crash is the same, and has the same document id.
type group struct {
	first, end int // where its first line begins and its last one ends in the data
	time       time.Time
	stamp      string
	stream     string
	text       []byte
	malformed  bool // no line of the container runtime

	last    time.Time
	partial bool // the line at its end is not complete
	trace   trace
	failure bool // has a stack trace
	closed  bool
}

type trace int

const (
	noTrace trace = iota
	pythonFrames
	pythonDone // the line with the exception is there
	goFrames
)

type line struct {
	time    time.Time
	stamp   string
	stream  string
	partial bool
	text    []byte
}

// parseLine takes "2026-01-02T03:04:05.678Z stdout F text" apart; false for anything else.
func parseLine(raw []byte) (line, bool) {
	parts := bytes.SplitN(raw, []byte(" "), 4)
	if len(parts) < 3 {
		return line{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(parts[0]))
	stream := string(parts[1])
	if err != nil || len(parts[2]) == 0 || (stream != "stdout" && stream != "stderr") {
		return line{}, false
	}
	found := line{time: at, stamp: string(parts[0]), stream: stream, partial: parts[2][0] == 'P'}
	if len(parts) == 4 {
		found.text = parts[3]
	}
	return found, true
}

// groups puts the complete lines in data together; those that lines not in data yet may join are not closed. `now`
// closes what has waited long enough; the zero time closes nothing.
func groups(data []byte, now time.Time) []*group {
	var all []*group
	open := map[string]*group{}
	for start := 0; ; {
		length := bytes.IndexByte(data[start:], '\n')
		if length < 0 {
			break
		}
		raw, end := data[start:start+length], start+length+1
		found, ok := parseLine(raw)
		if !ok {
			all = append(all, &group{first: start, end: end, text: raw, malformed: true, closed: true})
			start = end
			continue
		}
		for _, other := range open {
			other.closed = other.closed || found.time.Sub(other.last) > other.gap()
		}
		current := open[found.stream]
		if current != nil && current.takes(found) {
			current.add(found, end)
		} else {
			if current != nil {
				current.closed = true
			}
			current = &group{first: start, time: found.time, stamp: found.stamp, stream: found.stream}
			current.add(found, end)
			open[found.stream] = current
			all = append(all, current)
		}
		start = end
	}
	for _, other := range open {
		other.closed = other.closed || now.Sub(other.last) > other.gap()+slack
	}
	return all
}

func (g *group) gap() time.Duration {
	if g.partial {
		return chunkGap
	}
	return lineGap
}

func (g *group) takes(next line) bool {
	if g.closed {
		return false
	}
	if g.partial {
		return len(g.text)+len(next.text) <= maxLine
	}
	return len(g.text)+len(next.text) <= maxText && g.continues(next.text)
}

func (g *group) add(next line, end int) {
	switch {
	case g.partial:
		g.text = append(g.text, next.text...)
	case g.end == 0:
		g.text = append(g.text, next.text...)
		g.begin(next.text)
	default:
		g.text = append(append(g.text, '\n'), next.text...)
		g.begin(next.text)
	}
	g.end, g.last, g.partial = end, next.time, next.partial
	// A document of its own, which nothing continues.
	if !g.partial && len(g.text) > 1 && g.text[0] == '{' && g.text[len(g.text)-1] == '}' {
		g.closed = true
	}
}

var (
	tracebackHead = []byte("Traceback (most recent call last):")
	pythonError   = regexp.MustCompile(`^[A-Za-z_][\w.]*(:|$)`)
	pythonChain   = regexp.MustCompile(`^(During handling of the above exception|The above exception was the direct cause)`)
	goHead        = regexp.MustCompile(`^(panic: |fatal error: |goroutine \d+ \[)`)
	goFrame       = regexp.MustCompile(`^(\S.*\(.*\)$|created by |goroutine \d+ \[|\[signal |\[recovered\]|exit status )`)
	javaFrame     = regexp.MustCompile(`^\s+at \S+\(.*\)$`)
	javaCause     = regexp.MustCompile(`^(Caused by|Suppressed): `)
	closing       = regexp.MustCompile(`^[)\]}]+[,;]?$`)
)

// continues says whether a line belongs to the text before it.
func (g *group) continues(text []byte) bool {
	switch {
	case len(text) == 0:
		return g.trace != noTrace
	case text[0] == ' ' || text[0] == '\t':
		return true
	case bytes.HasPrefix(text, tracebackHead) || javaCause.Match(text) || closing.Match(text):
		return true
	case g.trace == pythonFrames:
		return pythonError.Match(text)
	case g.trace == pythonDone:
		return pythonChain.Match(text)
	case g.trace == goFrames:
		return goFrame.Match(text)
	}
	return false
}

// begin follows the stack traces in the group, line by line.
func (g *group) begin(text []byte) {
	switch {
	case bytes.Contains(text, tracebackHead):
		g.trace, g.failure = pythonFrames, true
	case goHead.Match(text):
		g.trace, g.failure = goFrames, true
	case javaFrame.Match(text) || javaCause.Match(text):
		g.failure = true
	case g.trace == pythonFrames && len(text) > 0 && pythonError.Match(text):
		g.trace = pythonDone
	}
}

// splitGroups is a bufio.SplitFunc whose tokens are whole groups: a position in the file never lies within one.
func splitGroups(data []byte, atEnd bool) (int, []byte, error) {
	// The time says that nothing more comes only where the data is all that the file has.
	var now time.Time
	if atEnd {
		now = time.Now()
	}
	cut := wholeGroups(groups(data, now))
	if cut == 0 && len(data) > 2*maxLine {
		cut = bytes.LastIndexByte(data, '\n') + 1
	}
	if cut == 0 {
		return 0, nil, nil
	}
	// The reader collects 100 tokens before it hands them on, but does so at once after a large one.
	if cut > largeToken {
		return cut, data[:cut], bufio.ErrFinalToken
	}
	return cut, data[:cut], nil
}

// wholeGroups is the end of the longest small beginning of the data that consists of closed groups, or else of the
// shortest one.
func wholeGroups(all []*group) int {
	whole, end := 0, 0
	for index, each := range all {
		if !each.closed {
			break
		}
		end = max(end, each.end)
		if index+1 < len(all) && all[index+1].first < end {
			continue
		}
		if whole > 0 && end > smallToken {
			break
		}
		whole = end
	}
	return whole
}
