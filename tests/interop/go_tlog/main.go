// Checks a log written by flexledger with golang.org/x/mod: the note, the tiles, the entries and our own proofs.
//
// usage: main <folder or URL> <vkey>; it holds checkpoint and tile/..., a folder proofs.json too. Prints "ok <entries>".
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Go's client asks for gzip by itself, and undoes it.
func read(place, path string) ([]byte, error) {
	if !strings.HasPrefix(place, "http://") {
		return os.ReadFile(filepath.Join(place, path))
	}
	answer, err := http.Get(place + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	if strings.HasPrefix(path, "tile/entries/") && !answer.Uncompressed {
		return nil, fmt.Errorf("%s did not come in gzip", path)
	}
	return io.ReadAll(answer.Body)
}

type files struct{ folder string }

func (f files) Height() int { return 8 }

func (f files) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		// x/mod writes the height into the path, c2sp.org/tlog-tiles does not.
		path := "tile/" + strings.TrimPrefix(t.Path(), "tile/8/")
		data, err := read(f.folder, path)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

type proofs struct {
	Inclusion []struct {
		Index int64
		Proof []tlog.Hash
	}
	Consistency []struct {
		Old   int64
		Root  tlog.Hash
		Proof []tlog.Hash
	}
}

func must(err error) {
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}

func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		t := tlog.Tile{H: 8, L: -1, N: n, W: int(min(256, size-n*256))}
		data, err := read(folder, "tile/entries/"+strings.TrimPrefix(t.Path(), "tile/8/data/"))
		must(err)
		for len(data) > 0 {
			end := 2 + int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:end])
			data = data[end:]
		}
	}
	return all
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func main() {
	folder := os.Args[1]
	signed, err := read(folder, "checkpoint")
	must(err)
	verifier, err := note.NewVerifier(os.Args[2])
	must(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, files{folder})
	all := entries(folder, size)
	if int64(len(all)) != size {
		must(fmt.Errorf("%d entries, size %d", len(all), size))
	}
	for start := int64(0); start < size; start += 256 {
		bundle := all[start:min(start+256, size)]
		var places []int64
		for at := range bundle {
			places = append(places, tlog.StoredHashIndex(0, start+int64(at)))
		}
		hashes, err := reader.ReadHashes(places)
		must(err)
		for at, entry := range bundle {
			if hashes[at] != tlog.RecordHash(entry) {
				must(fmt.Errorf("entry %d is not its leaf", start+int64(at)))
			}
		}
	}
	if strings.HasPrefix(folder, "http://") {
		fmt.Println("ok", size)
		return
	}
	var ours proofs
	data, err := os.ReadFile(filepath.Join(folder, "proofs.json"))
	must(err)
	must(json.Unmarshal(data, &ours))
	for _, p := range ours.Inclusion {
		must(tlog.CheckRecord(p.Proof, size, root, p.Index, tlog.RecordHash(all[p.Index])))
	}
	for _, p := range ours.Consistency {
		must(tlog.CheckTree(p.Proof, size, root, p.Old, p.Root))
	}
	fmt.Println("ok", size)
}
