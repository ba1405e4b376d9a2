//! The values that format strings of actions see, and path mapping.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openjd_expr::function_library::FunctionLibrary;
use openjd_expr::path_mapping::{PathMappingRule, apply_rules};
use openjd_expr::symbol_table::{SerializedSymbolTable, SymbolTable};
use openjd_expr::{ExprType, ExprValue, HostContext, PathFormat};
use openjd_model::ModelProfile;
use openjd_model::types::{JobParameterType, JobParameterValues, TaskParameterSet, TaskParameterType};
use serde_json::json;

use crate::error::{CoreError, Result};

/// What all actions of a session have in common.
pub(super) struct Scope {
    parameters: JobParameterValues,
    rules: Arc<Vec<PathMappingRule>>,
    working_directory: PathBuf,
    rules_file: PathBuf,
}

impl Scope {
    /// Writes the file of path mapping rules into `working_directory`. The rule with the longest source wins.
    pub(super) fn new(
        parameters: JobParameterValues,
        mut rules: Vec<PathMappingRule>,
        working_directory: &Path,
    ) -> Result<Self> {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.source_path.len()));
        let document = match rules.as_slice() {
            [] => json!({}),
            rules => json!({"version": "pathmapping-1.0", "path_mapping_rules": rules}),
        };
        let rules_file = working_directory.join("path_mapping_rules.json");
        std::fs::write(&rules_file, document.to_string()).map_err(|err| {
            CoreError::Session(format!("The path mapping rules cannot be written to {}: {err}.", rules_file.display()))
        })?;
        Ok(Self { parameters, rules: Arc::new(rules), working_directory: working_directory.to_path_buf(), rules_file })
    }

    /// Functions for expressions, `apply_path_mapping` with the rules of the session.
    pub(super) fn library(&self, profile: &ModelProfile) -> Arc<FunctionLibrary> {
        FunctionLibrary::for_profile(&profile.to_expr_profile(HostContext::WithRules(Arc::clone(&self.rules))))
    }

    /// The symbols of a script or environment: those from when the job was made, paths mapped, and the session's own.
    pub(super) fn symbols(&self, resolved: Option<&SerializedSymbolTable>) -> Result<SymbolTable, String> {
        let mut symbols = match resolved {
            Some(resolved) => {
                resolved.to_symtab(PathFormat::host()).map_err(|err| format!("Its symbols cannot be read: {err}"))?
            }
            None => openjd_model::build_symbol_table(&self.parameters).map_err(|err| err.to_string())?,
        };
        for (name, parameter) in &self.parameters {
            let mapped = match parameter.param_type {
                JobParameterType::Path => self.path(&parameter.value),
                JobParameterType::ListPath => {
                    let paths = parameter
                        .value
                        .list_elements()
                        .unwrap_or_default()
                        .iter()
                        .map(|path| self.path(path))
                        .collect();
                    ExprValue::make_list(paths, ExprType::PATH).map_err(|err| err.to_string())?
                }
                _ => continue,
            };
            set(&mut symbols, &format!("Param.{name}"), mapped)?;
        }
        let host_path = |path: &Path| ExprValue::new_path(path.to_string_lossy(), PathFormat::host());
        set(&mut symbols, "Session.WorkingDirectory", host_path(&self.working_directory))?;
        set(&mut symbols, "Session.HasPathMappingRules", ExprValue::Bool(!self.rules.is_empty()))?;
        set(&mut symbols, "Session.PathMappingRulesFile", host_path(&self.rules_file))?;
        Ok(symbols)
    }

    /// Adds the parameters of a task, paths mapped.
    pub(super) fn add_task(&self, symbols: &mut SymbolTable, parameters: &TaskParameterSet) -> Result<(), String> {
        for (name, parameter) in parameters {
            let value = match parameter.param_type {
                TaskParameterType::Path => self.path(&parameter.value),
                _ => parameter.value.clone(),
            };
            set(symbols, &format!("Task.RawParam.{name}"), parameter.value.clone())?;
            set(symbols, &format!("Task.Param.{name}"), value)?;
        }
        Ok(())
    }

    fn path(&self, value: &ExprValue) -> ExprValue {
        ExprValue::new_path(apply_rules(&self.rules, &value.as_str_repr()), PathFormat::host())
    }
}

pub(super) fn set(symbols: &mut SymbolTable, name: &str, value: ExprValue) -> Result<(), String> {
    symbols.set(name, value).map_err(|err| format!("The symbol '{name}' cannot be set: {err}"))
}
