//! A proxy-wasm filter that does nothing: what Envoy's wasm machinery costs by itself.
//!
//! It exports the same request and response callbacks as ours, each answering 0 ("continue"), and takes memory that
//! the host asks for from one page that it never gives back (ABI 0.2.1).

use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType,
    Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// A callback: its name, how many `i32` it takes, and what it answers, if anything.
type Callback = (&'static str, usize, Option<i32>);

/// Those of the ABI that the host requires, and those that a filter of requests has.
const CALLBACKS: [Callback; 12] = [
    ("_initialize", 0, None),
    ("proxy_abi_version_0_2_1", 0, None),
    ("proxy_on_context_create", 2, None),
    ("proxy_on_vm_start", 2, Some(1)),
    ("proxy_on_configure", 2, Some(1)),
    ("proxy_on_request_headers", 3, Some(0)),
    ("proxy_on_request_body", 3, Some(0)),
    ("proxy_on_request_trailers", 2, Some(0)),
    ("proxy_on_response_headers", 3, Some(0)),
    ("proxy_on_log", 1, None),
    ("proxy_on_done", 1, Some(1)),
    ("proxy_on_delete", 1, None),
];

/// Where the memory handed to the host begins; the page's beginning stays free, so that no address is 0.
const HEAP: i32 = 1024;

/// The module.
pub(crate) fn wasm() -> Vec<u8> {
    let (mut types, mut functions, mut exports, mut code) =
        (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    for (index, (name, parameters, answer)) in (0..).zip(CALLBACKS) {
        types.ty().function(vec![ValType::I32; parameters], answer.map(|_| ValType::I32));
        functions.function(index);
        exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        if let Some(answer) = answer {
            body.instruction(&Instruction::I32Const(answer));
        }
        body.instruction(&Instruction::End);
        code.function(&body);
    }
    let allocate = CALLBACKS.len() as u32;
    types.ty().function([ValType::I32], [ValType::I32]);
    functions.function(allocate);
    exports.export("proxy_on_memory_allocate", ExportKind::Func, allocate);
    exports.export("memory", ExportKind::Memory, 0);
    code.function(&allocation());
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&memory())
        .section(&heap())
        .section(&exports)
        .section(&code);
    module.finish()
}

/// Answers where the free memory begins and moves that on by the size asked for. Nothing asks in this filter's life
/// but the configuration, so that one page is enough.
fn allocation() -> Function {
    let mut body = Function::new([]);
    for instruction in [
        Instruction::GlobalGet(0),
        Instruction::GlobalGet(0),
        Instruction::LocalGet(0),
        Instruction::I32Add,
        Instruction::GlobalSet(0),
        Instruction::End,
    ] {
        body.instruction(&instruction);
    }
    body
}

fn memory() -> MemorySection {
    let mut memory = MemorySection::new();
    memory.memory(MemoryType {
        minimum: 1,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    memory
}

fn heap() -> GlobalSection {
    let mut globals = GlobalSection::new();
    let kind = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(kind, &ConstExpr::i32_const(HEAP));
    globals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_small_module_that_imports_nothing() {
        let wasm = wasm();
        assert!(wasm.starts_with(b"\0asm\x01\0\0\0"));
        assert!(wasm.len() < 1024, "{} bytes", wasm.len());
        let import_section = 2;
        let mut rest = &wasm[8..];
        while let [id, size, ..] = *rest {
            assert_ne!(id, import_section);
            assert!(id == 7 || size < 0x80, "only the exports are longer than 127 bytes");
            if id == 7 {
                return;
            }
            rest = &rest[2 + usize::from(size)..];
        }
        panic!("no exports");
    }
}
