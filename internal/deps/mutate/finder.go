package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// finder finds the faults of one file.
type finder struct {
	p       *program
	f       *file
	info    *types.Info
	pkg     *types.Package
	fn      string       // the function it is in
	results *types.Tuple // of that function
	stack   []ast.Node
}

func (d *finder) find() {
	for _, decl := range d.f.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Body == nil {
				continue
			}
			d.fn = funcName(decl)
			d.body(decl)
			d.walk(decl.Body)
		case *ast.GenDecl:
			if decl.Tok == token.VAR {
				d.fn, d.results = "-", nil
				d.walk(decl)
			}
		}
	}
}

func funcName(decl *ast.FuncDecl) string {
	if decl.Recv == nil {
		return decl.Name.Name
	}
	t := decl.Recv.List[0].Type
	star := ""
	if s, ok := t.(*ast.StarExpr); ok {
		t, star = s.X, "*"
	}
	if id, ok := t.(*ast.Ident); ok {
		return fmt.Sprintf("(%s%s).%s", star, id.Name, decl.Name.Name)
	}
	return decl.Name.Name
}

func (d *finder) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			d.stack = d.stack[:len(d.stack)-1]
			return true
		}
		if !d.visit(n) {
			return false
		}
		d.stack = append(d.stack, n)
		return true
	})
}

// parent returns the nth node above the one visited, from 0, without parentheses.
func (d *finder) parent(nth int) ast.Node {
	for i := len(d.stack) - 1; i >= 0; i-- {
		if _, ok := d.stack[i].(*ast.ParenExpr); ok {
			continue
		}
		if nth == 0 {
			return d.stack[i]
		}
		nth--
	}
	return nil
}

func (d *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ArrayType, *ast.MapType, *ast.FuncType, *ast.StructType, *ast.InterfaceType:
		return false
	case *ast.DeclStmt:
		return n.Decl.(*ast.GenDecl).Tok == token.VAR
	case *ast.TypeSwitchStmt:
		d.stack = append(d.stack, n)
		for _, c := range n.Body.List {
			for _, s := range c.(*ast.CaseClause).Body {
				d.walk(s)
			}
		}
		d.stack = d.stack[:len(d.stack)-1]
		return false
	case *ast.FuncLit:
		return true
	case ast.Expr:
		return d.expr(n)
	case ast.Stmt:
		d.stmt(n)
	}
	return true
}

func (d *finder) text(n ast.Node) string {
	return string(d.f.src[d.f.tok.Offset(n.Pos()):d.f.tok.Offset(n.End())])
}

// fault notes a fault and returns the number of its switch.
func (d *finder) fault(at token.Pos, op, text string) int {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "`", "'")
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	m := &mutant{ID: len(d.p.mutants), File: d.f.rel, Line: d.p.fset.Position(at).Line, Func: d.fn, Op: op, Text: text}
	d.p.nth[m.key()]++
	m.Nth = d.p.nth[m.key()]
	d.p.mutants = append(d.p.mutants, m)
	return m.ID
}

func (d *finder) wrap(n ast.Node, f func(faulty, plain string) string) {
	d.f.wraps = append(d.f.wraps, wrap{d.f.tok.Offset(n.Pos()), d.f.tok.Offset(n.End()), f})
}

// expr finds faults in an expression and says whether to look within.
func (d *finder) expr(n ast.Expr) bool {
	tv, ok := d.info.Types[n]
	if ok && tv.IsType() {
		return false
	}
	if ok && tv.Value != nil {
		d.constant(n, tv)
		return false
	}
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		return true
	case *ast.BinaryExpr:
		d.binary(n)
	}
	if d.isCondition(n) {
		d.condition(n)
	}
	return true
}

// isBool reports whether n is of the type bool.
func (d *finder) isBool(n ast.Expr) bool {
	b, ok := d.info.TypeOf(n).(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

func logical(n ast.Node) *ast.BinaryExpr {
	if b, ok := n.(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR) {
		return b
	}
	return nil
}

func comparison(n ast.Node) bool {
	b, ok := n.(*ast.BinaryExpr)
	if !ok {
		return false
	}
	switch b.Op {
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		return true
	}
	return false
}

// isCondition reports whether n decides something: a part of a condition, or a comparison anywhere.
func (d *finder) isCondition(n ast.Expr) bool {
	if _, ok := n.(*ast.ParenExpr); ok || !d.isBool(n) || logical(n) != nil {
		return false
	}
	if comparison(n) {
		return true
	}
	switch p := d.parent(0).(type) {
	case *ast.BinaryExpr:
		return logical(p) != nil
	case *ast.IfStmt, *ast.ForStmt, *ast.ReturnStmt:
		return true
	case *ast.CaseClause:
		sw, ok := d.parent(2).(*ast.SwitchStmt)
		return ok && sw.Tag == nil
	}
	return false
}

// condition negates n, and takes it out of a conjunction or disjunction.
func (d *finder) condition(n ast.Expr) {
	id := d.fault(n.Pos(), "negate", d.text(n))
	d.wrap(n, func(faulty, _ string) string { return fmt.Sprintf("(mutOn(%d) != (%s))", id, faulty) })
	d.operand(n)
}

// operand takes n out of the conjunction or disjunction that it is a part of.
func (d *finder) operand(n ast.Expr) {
	p := logical(d.parent(0))
	if p == nil {
		return
	}
	if b := logical(n); b != nil && b.Op == p.Op {
		return
	}
	id := d.fault(n.Pos(), "leave out "+p.Op.String(), d.text(n))
	d.wrap(n, func(faulty, _ string) string {
		if p.Op == token.LAND {
			return fmt.Sprintf("(mutOn(%d) || (%s))", id, faulty)
		}
		return fmt.Sprintf("(!mutOn(%d) && (%s))", id, faulty)
	})
}

var boundary = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}

var arithmetic = map[token.Token]string{token.ADD: "mutPlus", token.SUB: "mutMinus", token.AND: "mutAnd", token.OR: "mutOr", token.AND_NOT: "mutAndNot"}

func (d *finder) binary(n *ast.BinaryExpr) {
	x, y := d.text(n.X), d.text(n.Y)
	if logical(n) != nil {
		other := token.LOR
		if n.Op == token.LOR {
			other = token.LAND
		}
		id := d.fault(n.OpPos, "swap "+n.Op.String(), d.text(n))
		d.wrap(n, func(faulty, _ string) string {
			return fmt.Sprintf("(mutOn(%d) && ((%s) %s (%s)) || !mutOn(%d) && (%s))", id, x, other, y, id, faulty)
		})
		d.operand(n)
		return
	}
	if op, ok := boundary[n.Op]; ok {
		id := d.fault(n.OpPos, "boundary", d.text(n))
		d.wrap(n, func(faulty, _ string) string {
			return fmt.Sprintf("(mutOn(%d) && (%s %s %s) || !mutOn(%d) && (%s))", id, x, op, y, id, faulty)
		})
		return
	}
	name, ok := arithmetic[n.Op]
	if !ok || !isInteger(d.info.TypeOf(n)) {
		return
	}
	id := d.fault(n.OpPos, "arithmetic "+n.Op.String(), d.text(n))
	start, end, op := d.f.tok.Offset(n.Pos()), d.f.tok.Offset(n.End()), d.f.tok.Offset(n.OpPos)
	width := len(n.Op.String())
	// Two insertions and one replacement, so that faults within the operands stay.
	d.f.wraps = append(d.f.wraps, wrap{start, end, func(faulty, _ string) string { return fmt.Sprintf("%s(%d, %s)", name, id, faulty) }},
		wrap{op, op + width, func(_, _ string) string { return "," }})
}

func isInteger(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsInteger != 0
}

// typeName writes a type as the file can name it.
func (d *finder) typeName(t types.Type) (string, bool) {
	ok := true
	s := types.TypeString(t, func(p *types.Package) string {
		if p == d.pkg {
			return ""
		}
		for _, imp := range d.f.ast.Imports {
			if strings.Trim(imp.Path.Value, `"`) == p.Path() && imp.Name == nil {
				return p.Name()
			}
		}
		ok = false
		return ""
	})
	return s, ok
}

// constant changes a constant that decides something.
func (d *finder) constant(n ast.Expr, tv types.TypeAndValue) {
	name, ok := d.typeName(types.Default(tv.Type))
	if !ok {
		return
	}
	if ret, ok := d.parent(0).(*ast.ReturnStmt); ok && d.fails(ret) {
		return // nobody looks at what comes with an error
	}
	if kv, ok := d.parent(0).(*ast.KeyValueExpr); ok && kv.Key == n && !d.isElement(n) {
		return // an index: must stay a constant
	}
	_, inCase := d.parent(0).(*ast.CaseClause)
	switch tv.Value.Kind() {
	case constant.Bool:
		id := d.fault(n.Pos(), "constant", d.text(n))
		d.wrap(n, func(faulty, _ string) string { return fmt.Sprintf("(mutOn(%d) != %s)", id, faulty) })
	case constant.Int:
		if !isInteger(tv.Type) || d.isHint(n) {
			return
		}
		op, by := "constant", 1
		if inCase {
			op, by = "leave out case", 101
		}
		id := d.fault(n.Pos(), op, d.text(n))
		d.wrap(n, func(faulty, _ string) string { return fmt.Sprintf("mutAdd[%s](%d, %s, %d)", name, id, faulty, by) })
	case constant.String:
		op := ""
		switch {
		case inCase:
			op = "leave out case"
		case d.isElement(n):
			op = "leave out element"
		case d.isKey(n):
			op = "constant"
		default:
			return
		}
		id := d.fault(n.Pos(), op, d.text(n))
		d.wrap(n, func(faulty, _ string) string { return fmt.Sprintf("mutStr[%s](%d, %s)", name, id, faulty) })
	}
}

// isHint reports whether n is a size given to make, which changes nothing but memory.
func (d *finder) isHint(n ast.Expr) bool {
	call, ok := d.parent(0).(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "make" && len(call.Args) == 3 && call.Args[2] == n
}

// isElement reports whether n is an element of a list in the source: of a slice, the keys of a map, or variadic strings.
func (d *finder) isElement(n ast.Expr) bool {
	switch p := d.parent(0).(type) {
	case *ast.CompositeLit:
		_, isStruct := d.info.TypeOf(p).Underlying().(*types.Struct)
		return !isStruct
	case *ast.KeyValueExpr:
		lit, ok := d.parent(1).(*ast.CompositeLit)
		if !ok || p.Key != n {
			return false
		}
		_, isMap := d.info.TypeOf(lit).Underlying().(*types.Map)
		return isMap
	case *ast.CallExpr:
		sig, ok := d.info.TypeOf(p.Fun).(*types.Signature)
		if !ok || !sig.Variadic() || p.Ellipsis.IsValid() {
			return false
		}
		last := sig.Params().Len() - 1
		elem, ok := sig.Params().At(last).Type().(*types.Slice)
		if !ok || types.IsInterface(elem.Elem()) {
			return false
		}
		for i, a := range p.Args {
			if a == n {
				return i >= last
			}
		}
	}
	return false
}

// isKey reports whether n is what is looked up: the only argument of a method Get or Has.
func (d *finder) isKey(n ast.Expr) bool {
	call, ok := d.parent(0).(*ast.CallExpr)
	if !ok || len(call.Args) != 1 || call.Args[0] != n {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (sel.Sel.Name == "Get" || sel.Sel.Name == "Has")
}
