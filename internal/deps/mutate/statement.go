package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// stmt finds the faults of a statement as a whole.
func (d *finder) stmt(n ast.Stmt) {
	switch n := n.(type) {
	case *ast.IfStmt:
		id := d.fault(n.Cond.Pos(), "leave out if", d.text(n.Cond))
		d.wrap(n.Cond, func(faulty, _ string) string { return fmt.Sprintf("(!mutOn(%d) && (%s))", id, faulty) })
	case *ast.ExprStmt:
		if call, ok := n.X.(*ast.CallExpr); ok && d.deletable(n) {
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
				return
			}
			d.delete(n)
		}
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE && d.deletable(n) && !blank(n) {
			d.delete(n)
		}
	case *ast.IncDecStmt:
		if d.deletable(n) {
			d.delete(n)
		}
	case *ast.RangeStmt:
		if d.deletable(n) {
			d.delete(n)
		}
	case *ast.ForStmt:
		if n.Cond != nil && d.deletable(n) {
			d.delete(n)
		}
	case *ast.BranchStmt:
		if n.Tok != token.GOTO && n.Tok != token.FALLTHROUGH && d.inPlainIf() {
			d.delete(n)
		}
	case *ast.ReturnStmt:
		d.returned(n)
	}
}

func blank(n *ast.AssignStmt) bool {
	for _, l := range n.Lhs {
		if id, ok := l.(*ast.Ident); !ok || id.Name != "_" {
			return false
		}
	}
	return true
}

// deletable reports whether n stands in a list of statements: not in the head of another one.
func (d *finder) deletable(n ast.Stmt) bool {
	var list []ast.Stmt
	switch p := d.stack[len(d.stack)-1].(type) {
	case *ast.BlockStmt:
		list = p.List
	case *ast.CaseClause:
		list = p.Body
	}
	for _, s := range list {
		if s == n {
			return true
		}
	}
	return false
}

// inPlainIf reports whether the statement visited is in the body of an if without else, which is no branch of another one: then
// control may go on behind it as far as the compiler is concerned.
func (d *finder) inPlainIf() bool {
	if len(d.stack) < 3 {
		return false
	}
	n, ok := d.stack[len(d.stack)-2].(*ast.IfStmt)
	if !ok || n.Else != nil {
		return false
	}
	outer, ok := d.stack[len(d.stack)-3].(*ast.IfStmt)
	return !ok || outer.Else != ast.Stmt(n)
}

func (d *finder) delete(n ast.Stmt) {
	id := d.fault(n.Pos(), "delete", firstLine(d.text(n)))
	d.wrap(n, func(faulty, _ string) string { return fmt.Sprintf("if !mutOn(%d) { %s }", id, faulty) })
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// signature returns that of the function the statement is in.
func (d *finder) signature(in ast.Node) *types.Signature {
	switch in := in.(type) {
	case *ast.FuncLit:
		s, _ := d.info.TypeOf(in).(*types.Signature)
		return s
	case *ast.FuncDecl:
		s, _ := d.info.Defs[in.Name].Type().(*types.Signature)
		return s
	}
	return nil
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// fails reports whether a statement returns an error that may not be nil.
func (d *finder) fails(ret *ast.ReturnStmt) bool {
	if len(ret.Results) == 0 {
		return false
	}
	last := ret.Results[len(ret.Results)-1]
	if id, ok := last.(*ast.Ident); ok && id.Name == "nil" {
		return false
	}
	return isError(d.info.TypeOf(last)) || d.returnsError(len(ret.Results))
}

// returned replaces an error that is returned by nil.
func (d *finder) returned(n ast.Stmt) {
	ret := n.(*ast.ReturnStmt)
	if !d.fails(ret) {
		return
	}
	id := d.fault(ret.Pos(), "return no error", d.text(ret))
	before := ""
	for _, r := range ret.Results[:len(ret.Results)-1] {
		before += d.text(r) + ", "
	}
	d.wrap(ret, func(faulty, _ string) string {
		return fmt.Sprintf("if mutOn(%d) { return %snil }; %s", id, before, faulty)
	})
}

// returnsError reports whether the function around, with n results, returns an error last.
func (d *finder) returnsError(n int) bool {
	for i := len(d.stack) - 1; i >= 0; i-- {
		lit, ok := d.stack[i].(*ast.FuncLit)
		if !ok {
			continue
		}
		r := d.signature(lit).Results()
		return r.Len() == n && isError(r.At(n-1).Type())
	}
	return d.results != nil && d.results.Len() == n && isError(d.results.At(n-1).Type())
}

// body lets a function return at once: nothing, zero values, or true.
func (d *finder) body(decl *ast.FuncDecl) {
	d.results = d.signature(decl).Results()
	at := d.f.tok.Offset(decl.Body.Lbrace) + 1
	insert := func(op, code string) {
		id := d.fault(decl.Body.Lbrace, op, decl.Name.Name)
		d.f.wraps = append(d.f.wraps, wrap{at, at, func(_, _ string) string { return fmt.Sprintf("if mutOn(%d) { %s };", id, code) }})
	}
	if d.results.Len() == 0 {
		insert("return at once", "return")
		return
	}
	declare, names := "", []string{}
	for _, f := range decl.Type.Results.List {
		for range max(1, len(f.Names)) {
			name := fmt.Sprintf("mutZero%d", len(names))
			names = append(names, name)
			declare += fmt.Sprintf("var %s %s; ", name, d.text(f.Type))
		}
	}
	insert("return zero", declare+"return "+strings.Join(names, ", "))
	if b, ok := d.results.At(0).Type().(*types.Basic); ok && d.results.Len() == 1 && b.Kind() == types.Bool {
		insert("return true", "return true")
	}
}
