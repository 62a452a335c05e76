package web_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/web"
)

func post(query, body, contentType string) *http.Request {
	r := httptest.NewRequest("POST", "/x?"+query, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestForm(t *testing.T) {
	t.Parallel()
	v, err := web.Form(post("other=1", "a=1&b=%C3%91+x&c=&d&resource=1&resource=2&nota=l%C3%ADnea%0D%0Aotra", form+";charset=UTF-8"), 1000,
		web.Repeatable("resource"), web.Multiline("nota"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{"a": v.Get("a"), "b": v.Get("b"), "c": v.Has("c"), "d": v.Has("d"), "no": v.Has("no"), "other": v.Has("other"),
		"resource": v.All("resource"), "nota": v.Get("nota"), "names": v.Names()}
	want := map[string]any{"a": "1", "b": "Ñ x", "c": true, "d": true, "no": false, "other": false,
		"resource": []string{"1", "2"}, "nota": "línea\notra", "names": []string{"a", "b", "c", "d", "nota", "resource"}}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("(-got +want):\n%s", d)
	}
}

func TestFormRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, query, body, contentType string
		want                           error
		param                          string
	}{
		{"twice", "", "redirect_uri=a&redirect_uri=b", form, web.ErrDuplicate, "redirect_uri"},
		{"twice, one empty", "", "a=&a=1", form, web.ErrDuplicate, "a"},
		{"twice, other spelling", "", "a=1&%61=1", form, web.ErrDuplicate, "a"},
		{"in query and body", "a=1", "a=1", form, web.ErrDuplicate, "a"},
		{"twice in the query", "b=1&b=1", "a=1", form, web.ErrDuplicate, "b"},
		{"hostile name", "", "x%0Ay=1&x%0Ay=1", form, web.ErrEncoding, ""},
		{"NUL", "", "a=%00", form, web.ErrEncoding, "a"},
		{"line break", "", "a=x%0D%0Ay", form, web.ErrEncoding, "a"},
		{"escape sequence", "", "a=%1B[31m", form, web.ErrEncoding, "a"},
		{"C1 control", "", "a=%C2%9B", form, web.ErrEncoding, "a"},
		{"not UTF-8", "", "a=%FF", form, web.ErrEncoding, "a"},
		{"surrogate", "", "a=%ED%A0%80", form, web.ErrEncoding, "a"},
		{"overlong", "", "a=%C0%AF", form, web.ErrEncoding, "a"},
		{"right-to-left override", "", "a=%E2%80%AE", form, web.ErrEncoding, "a"},
		{"broken escape", "", "a=%zz", form, web.ErrEncoding, "a"},
		{"semicolon", "", "a=1;b=2", form, web.ErrEncoding, "a"},
		{"no name", "", "=1", form, web.ErrEncoding, ""},
		{"empty pair", "", "a=1&", form, web.ErrEncoding, ""},
		{"long name", "", strings.Repeat("n", 129) + "=1", form, web.ErrEncoding, ""},
		{"too many", "", strings.TrimSuffix(strings.Repeat("a=1&", 65), "&"), form, web.ErrTooMany, ""},
		{"too large", "", "a=" + strings.Repeat("x", 1000), form, web.ErrTooLarge, ""},
		{"JSON", "", "{}", "application/json", web.ErrMediaType, ""},
		{"no type", "", "a=1", "", web.ErrMediaType, ""},
		{"bad type", "", "a=1", "application/x-www-form-urlencoded; charset", web.ErrMediaType, ""},
		{"other charset", "", "a=1", form + "; charset=iso-8859-1", web.ErrMediaType, "charset"},
	} {
		_, err := web.Form(post(c.query, c.body, c.contentType), 1000, web.Repeatable("zzz"))
		var in *web.InputError
		if c.name == "too many" {
			_, err = web.Form(post(c.query, c.body, c.contentType), 1000, web.Repeatable("a"))
		}
		if !errors.Is(err, c.want) || !errors.As(err, &in) || in.Name != c.param {
			t.Errorf("%s: got %v, want %v of %q", c.name, err, c.want, c.param)
		}
	}
	r := post("", "a=1", form)
	r.Header.Set("Content-Encoding", "gzip")
	if _, err := web.Form(r, 1000); !errors.Is(err, web.ErrMediaType) {
		t.Errorf("compressed: got %v", err)
	}
	r = post("", "a=1", form)
	r.Method = "PUT"
	if _, err := web.Form(r, 1000); !errors.Is(err, web.ErrMediaType) {
		t.Errorf("PUT: got %v", err)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	v, err := web.Query(httptest.NewRequest("GET", "/x?a=1&b=2", nil))
	if err != nil || v.Get("a") != "1" || v.Get("b") != "2" {
		t.Errorf("got %v, %v", v, err)
	}
	if _, err := web.Query(httptest.NewRequest("GET", "/x?a=1&a=2", nil)); !errors.Is(err, web.ErrDuplicate) {
		t.Errorf("got %v, want ErrDuplicate", err)
	}
}

type document struct {
	Title  string   `json:"title"`
	Pages  int      `json:"pages"`
	Labels []string `json:"labels"`
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var d document
	err := web.JSON(post("", ` {"title":"Ñ\u0041","pages":3,"labels":["a","a"]} `, "application/json"), 1000, &d)
	if want := (document{"ÑA", 3, []string{"a", "a"}}); err != nil || !cmp.Equal(d, want) {
		t.Errorf("got %+v, %v; want %+v", d, err, want)
	}
	for _, c := range []struct {
		name, body string
		want       error
		member     string
	}{
		{"empty", "", web.ErrSyntax, ""},
		{"twice", `{"title":"a","title":"b"}`, web.ErrDuplicate, "title"},
		{"twice in other case", `{"title":"a","Title":"b"}`, web.ErrDuplicate, "Title"},
		{"twice escaped", `{"title":"a","\u0074itle":"b"}`, web.ErrDuplicate, "title"},
		{"twice below", `{"labels":[{"x":1,"x":2}]}`, web.ErrDuplicate, "x"},
		{"unknown", `{"title":"a","admin":true}`, web.ErrSyntax, "admin"},
		{"other type", `{"pages":"3"}`, web.ErrSyntax, "pages"},
		{"fraction", `{"pages":3.5}`, web.ErrSyntax, "pages"},
		{"something after", `{} {}`, web.ErrSyntax, ""},
		{"cut off", `{"title":`, web.ErrSyntax, ""},
		{"bare", `title`, web.ErrSyntax, ""},
		{"comment", `{/**/}`, web.ErrSyntax, ""},
		{"trailing comma", `{"title":"a",}`, web.ErrSyntax, ""},
		{"not UTF-8", "{\"title\":\"\xff\"}", web.ErrEncoding, ""},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), web.ErrTooMany, ""},
		{"too large", `{"title":"` + strings.Repeat("x", 1000) + `"}`, web.ErrTooLarge, ""},
		{"hostile member", "{\"x\\n\\u001b\":1,\"x\\n\\u001b\":1}", web.ErrDuplicate, ""},
	} {
		var d document
		err := web.JSON(post("", c.body, "application/json"), 1000, &d)
		var in *web.InputError
		if !errors.Is(err, c.want) || !errors.As(err, &in) || in.Name != c.member {
			t.Errorf("%s: got %v, want %v of %q", c.name, err, c.want, c.member)
		}
	}
}

func TestMultipart(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	type file struct{ field, name, body string }
	var files []file
	var values *web.Values
	g.browser.Handle("POST /subir", func(_ http.ResponseWriter, r *http.Request) (err error) {
		files = nil
		values, err = web.Multipart(r, func(field, name string, body io.Reader) error {
			b, err := io.ReadAll(body)
			files = append(files, file{field, name, string(b)})
			return err
		})
		return err
	}, web.Upload(100_000))
	send := func(build func(*multipart.Writer)) int {
		var buf bytes.Buffer
		mw := multipart.NewWriter(&buf)
		build(mw)
		_ = mw.Close()
		return g.do(t, "POST", "/subir", buf.String(), "Content-Type", mw.FormDataContentType()).Code
	}
	code := send(func(mw *multipart.Writer) {
		_ = mw.WriteField("titulo", "Resolución")
		fw, _ := mw.CreateFormFile("pdf", `C:\fakepath\..\acta<script>`+"\u202e.pdf")
		_, _ = io.WriteString(fw, "%PDF-")
	})
	if code != 200 || values.Get("titulo") != "Resolución" {
		t.Fatalf("got %d, %v", code, values)
	}
	if d := cmp.Diff(files, []file{{"pdf", "acta<script>.pdf", "%PDF-"}}, cmp.AllowUnexported(file{})); d != "" {
		t.Errorf("files (-got +want):\n%s", d)
	}
	for name, c := range map[string]struct {
		want  int
		build func(*multipart.Writer)
	}{
		"twice":     {400, func(mw *multipart.Writer) { _ = mw.WriteField("a", "1"); _ = mw.WriteField("a", "2") }},
		"control":   {400, func(mw *multipart.Writer) { _ = mw.WriteField("a", "\x00") }},
		"big field": {413, func(mw *multipart.Writer) { _ = mw.WriteField("a", strings.Repeat("x", 70_000)) }},
		"big file": {413, func(mw *multipart.Writer) {
			fw, _ := mw.CreateFormFile("f", "f")
			_, _ = fw.Write(make([]byte, 120_000))
		}},
		"many parts": {400, func(mw *multipart.Writer) {
			for i := range 70 {
				_ = mw.WriteField(fmt.Sprint("a", i), "1")
			}
		}},
		"no name": {400, func(mw *multipart.Writer) { _ = mw.WriteField("", "1") }},
	} {
		if got := send(c.build); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if w := g.do(t, "POST", "/subir", "--x\r\nbroken", "Content-Type", "multipart/form-data; boundary=x"); w.Code != 400 {
		t.Errorf("broken: got %d, want 400", w.Code)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"abc-123": "abc-123", `"abc 123"`: "", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`: "8e03978e-40d5-43dd-bc93-6894a57f9324",
		"": "", `""`: "", "a b": "", "a,b": "", "ñ": "", `"a`: "", strings.Repeat("x", 128): strings.Repeat("x", 128), strings.Repeat("x", 129): "",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Idempotency-Key", header)
		got, err := web.IdempotencyKey(r)
		var e *web.Error
		if got != want || (err == nil) != (want != "") || err != nil && (!errors.As(err, &e) || e.Status != 400) {
			t.Errorf("%.40q: got %q, %v; want %q", header, got, err, want)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	if _, err := web.IdempotencyKey(r); err == nil {
		t.Error("missing key accepted")
	}
	r.Header["Idempotency-Key"] = []string{"a", "b"}
	if _, err := web.IdempotencyKey(r); err == nil {
		t.Error("two keys accepted")
	}
}

func TestCursors(t *testing.T) {
	t.Parallel()
	key := web.NewCursorKey()
	c, err := web.NewCursors(key)
	if err != nil {
		t.Fatal(err)
	}
	type place struct{ After int64 }
	s, err := c.Seal("documents?state=done", "client a", place{42})
	if err != nil {
		t.Fatal(err)
	}
	var p place
	if err := c.Open("documents?state=done", "client a", s, &p); err != nil || p.After != 42 {
		t.Errorf("got %+v, %v", p, err)
	}
	again, err := c.Seal("documents?state=done", "client a", place{42})
	plain, decodeErr := base64.RawURLEncoding.DecodeString(s)
	if err != nil || decodeErr != nil || again == s || bytes.Contains(plain, []byte("After")) {
		t.Errorf("cursor is not opaque: %s, %s, %v", s, again, err)
	}
	other, err := web.NewCursors(web.NewCursorKey())
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"other list":  c.Open("documents", "client a", s, &p),
		"other owner": c.Open("documents?state=done", "client b", s, &p),
		"shifted":     c.Open("documents?state=done,client a", "", s, &p),
		"other key":   other.Open("documents?state=done", "client a", s, &p),
		"changed":     c.Open("documents?state=done", "client a", s[:len(s)-2]+"AA", &p),
		"cut":         c.Open("documents?state=done", "client a", s[:10], &p),
		"empty":       c.Open("documents?state=done", "client a", "", &p),
		"padded":      c.Open("documents?state=done", "client a", s+"=", &p),
		"huge":        c.Open("documents?state=done", "client a", strings.Repeat("A", 1<<20), &p),
	} {
		var e *web.Error
		if !errors.Is(err, web.ErrCursor) || !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%s: got %v, want ErrCursor as 400", name, err)
		}
	}
	if _, err := c.Seal("x", "y", strings.Repeat("x", 2000)); err == nil {
		t.Error("huge place accepted")
	}
}

func FuzzForm(f *testing.F) {
	f.Add("a=1&b=%C3%91", "c=1")
	f.Add("a=1&a=2", "")
	f.Add("%61=1;b", "a&&")
	f.Fuzz(func(t *testing.T, body, query string) {
		r := &http.Request{Method: "POST", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{"Content-Type": {form}},
			Body: io.NopCloser(strings.NewReader(body))}
		v, err := web.Form(r, 1<<12)
		if err != nil {
			return
		}
		// What is accepted, the standard library reads alike.
		std, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("accepted %q, which the library refuses: %v", body, err)
		}
		if len(std) != len(v.Names()) {
			t.Errorf("%q: got %v, library has %v", body, v.Names(), std)
		}
		for name, values := range std {
			if len(values) != 1 || v.Get(name) != values[0] {
				t.Errorf("%q: %q is %q, library has %q", body, name, v.Get(name), values)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"title":"a","pages":1,"labels":["x"]}`))
	f.Add([]byte(`{"title":"a","TITLE":"b"}`))
	f.Add([]byte(`[[[[]]]]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var any any
		r := post("", string(b), "application/json")
		err := web.JSON(r, 1<<12, &any)
		var in *web.InputError
		if err != nil && !errors.As(err, &in) {
			t.Errorf("%q: untyped error %v", b, err)
		}
	})
}
