//! The components that Kith has, and the keys of each; what it has not, and why.

/// A component and its keys.
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// Keys that it reads, or that mean nothing to a reader.
    pub keys: &'static [&'static str],
}

macro_rules! components {
    ($($name:literal: $($key:literal)*;)+) => {
        /// Every component that can be used.
        pub const COMPONENTS: &[Component] = &[$(Component { name: $name, keys: &[$($key),*] }),+];
    };
}

components! {
    "DeclarativeSource": "version" "check" "streams" "dynamic_streams" "schemas" "definitions" "spec" "concurrency_level" "api_budget" "stream_groups"
        "max_concurrent_async_job_count" "metadata" "description";
    "DeclarativeStream": "name" "retriever" "incremental_sync" "primary_key" "schema_loader" "transformations" "state_migrations" "file_uploader";
    "StateDelegatingStream": "name" "full_refresh_stream" "incremental_stream" "api_retention_period";
    "ConditionalStreams": "condition" "streams";
    "DynamicDeclarativeStream": "name" "stream_template" "components_resolver" "use_parent_parameters";
    "HttpComponentsResolver": "retriever" "components_mapping";
    "ConfigComponentsResolver": "stream_config" "components_mapping";
    "ParametrizedComponentsResolver": "stream_parameters" "components_mapping";
    "StreamConfig": "configs_pointer" "default_values";
    "ComponentMappingDefinition": "field_path" "value" "value_type" "create_or_update" "condition";
    "LegacyToPerPartitionStateMigration":;
    "SimpleRetriever": "requester" "decoder" "record_selector" "paginator" "pagination_reset" "partition_router" "primary_key" "name"
        "ignore_stream_slicer_parameters_on_paginated_requests" "page_size_reduction" "request_window_splitting";
    "PaginationReset": "action" "limits";
    "PaginationResetLimits": "number_of_records";
    "PageSizeReduction": "reduction_factor" "minimum_page_size" "max_attempts" "backoff_seconds" "retries_at_minimum_page_size" "failure_message"
        "reset_policy";
    "RequestWindowSplitting": "failure_message" "min_split_window";
    "HttpRequester": "url" "url_base" "path" "http_method" "authenticator" "error_handler" "request_body" "request_body_data" "request_body_json"
        "request_headers" "request_parameters" "use_cache" "name" "connect_timeout_in_seconds" "read_timeout_in_seconds" "use_tcp_keepalive"
        "fetch_properties_from_endpoint" "query_properties";
    "QueryProperties": "property_list" "always_include_properties" "property_chunking" "property_selector";
    "PropertiesFromEndpoint": "property_field_path" "retriever";
    "PropertyChunking": "property_limit_type" "property_limit" "record_merge_strategy";
    "GroupByKeyMergeStrategy": "key";
    "RecordSelector": "extractor" "record_filter" "schema_normalization" "transform_before_filtering";
    "DpathExtractor": "field_path" "decoder" "record_expander";
    "CombinedExtractor": "extractors" "mode" "skip_empty_records";
    "RecordExpander": "expand_records_from_field" "remain_original_record" "parent_fields" "merge_parent" "on_no_records" "truncation_indicator_path"
        "truncated_list_retriever";
    "ParentFieldPath": "parent_path" "record_path";
    "RecordFilter": "condition";
    "NoPagination":;
    "DefaultPaginator": "pagination_strategy" "decoder" "page_size_option" "page_token_option" "url_base";
    "CursorPagination": "cursor_value" "page_size" "stop_condition" "decoder";
    "OffsetIncrement": "page_size" "inject_on_first_request";
    "PageIncrement": "page_size" "start_from_page" "inject_on_first_request";
    "RequestOption": "inject_into" "field_name" "field_path";
    "RequestPath":;
    "NoAuth":;
    "ApiKeyAuthenticator": "api_token" "header" "inject_into";
    "BearerAuthenticator": "api_token";
    "BasicHttpAuthenticator": "username" "password";
    "OAuthAuthenticator": "client_id_name" "client_id" "client_secret_name" "client_secret" "refresh_token_name" "refresh_token"
        "token_refresh_endpoint" "access_token_name" "access_token_value" "expires_in_name" "grant_type_name" "grant_type" "refresh_request_body"
        "refresh_request_headers" "send_refresh_request_as_query_params" "scopes" "token_expiry_date" "token_expiry_date_format"
        "refresh_token_updater" "profile_assertion" "use_profile_assertion" "refresh_token_error_status_codes" "refresh_token_error_key" "refresh_token_error_values";
    "SessionTokenAuthenticator": "login_requester" "session_token_path" "expiration_duration" "request_authentication" "decoder";
    "LegacySessionTokenAuthenticator": "header" "login_url" "session_token" "session_token_response_key" "username" "password" "validate_session_url";
    "SelectiveAuthenticator": "authenticator_selection_path" "authenticators";
    "JwtAuthenticator": "secret_key" "base64_encode_secret_key" "algorithm" "token_duration" "header_prefix" "jwt_headers" "additional_jwt_headers"
        "jwt_payload" "additional_jwt_payload" "passphrase" "request_option";
    "DefaultErrorHandler": "backoff_strategies" "max_retries" "response_filters";
    "CompositeErrorHandler": "error_handlers";
    "HttpResponseFilter": "action" "failure_type" "error_message" "error_message_contains" "http_codes" "predicate";
    "ConstantBackoffStrategy": "backoff_time_in_seconds" "jitter_range_in_seconds";
    "ExponentialBackoffStrategy": "factor" "jitter_range_in_seconds";
    "WaitTimeFromHeader": "header" "regex" "max_waiting_time_in_seconds";
    "WaitTimeFromResponse": "wait_time_in_seconds" "max_waiting_time_in_seconds";
    "WaitUntilTimeFromHeader": "header" "min_wait" "regex" "max_waiting_time_in_seconds";
    "DatetimeBasedCursor": "clamping" "cursor_field" "cursor_datetime_formats" "start_datetime" "datetime_format" "end_datetime" "cursor_granularity"
        "step" "is_compare_strictly" "lookback_window" "start_time_option" "end_time_option" "partition_field_start" "partition_field_end"
        "is_data_feed" "is_client_side_incremental" "global_substream_cursor" "allow_catalog_defined_cursor_field";
    "MinMaxDatetime": "datetime" "datetime_format" "max_datetime" "min_datetime";
    "IncrementingCountCursor": "cursor_field" "start_value" "start_value_option" "allow_catalog_defined_cursor_field";
    "ListPartitionRouter": "cursor_field" "values" "request_option";
    "SubstreamPartitionRouter": "parent_stream_configs";
    "GroupingPartitionRouter": "group_size" "underlying_partition_router" "deduplicate";
    "UnionPartitionRouter": "partition_routers" "partition_field";
    "ParentStreamConfig": "stream" "parent_key" "partition_field" "request_option" "incremental_dependency" "extra_fields" "lazy_read_pointer";
    "AddFields": "fields" "condition";
    "AddedFieldDefinition": "path" "value" "value_type";
    "RemoveFields": "field_pointers" "condition";
    "KeysToLower":;
    "KeysToSnakeCase":;
    "KeysReplace": "old" "new";
    "FlattenFields": "flatten_lists";
    "DpathFlattenFields": "field_path" "delete_origin_value" "replace_record" "key_transformation";
    "JsonDecoder":;
    "JsonlDecoder":;
    "IterableDecoder":;
    "XmlDecoder":;
    "CsvDecoder": "encoding" "delimiter" "set_values_to_none";
    "GzipDecoder": "decoder";
    "ZipfileDecoder": "decoder";
    "JsonItemsDecoder": "items_path" "encoding";
    "DynamicSchemaLoader": "retriever" "schema_filter" "schema_transformations" "schema_type_identifier";
    "SchemaTypeIdentifier": "schema_pointer" "key_pointer" "type_pointer" "types_mapping";
    "TypesMap": "target_type" "current_type" "condition";
    "ComplexFieldType": "field_type" "items";
    "InlineSchemaLoader": "schema";
    "JsonFileSchemaLoader": "file_path";
    "CheckStream": "stream_names" "dynamic_streams_check_configs" "config_overrides";
    "Spec": "connection_specification" "documentation_url" "advanced_auth" "config_normalization_rules";
    "ConfigAddFields": "fields" "condition";
    "ConfigRemoveFields": "field_pointers" "condition";
    "ConfigRemapField": "map" "field_path";
    "DpathValidator": "field_path" "validation_strategy";
    "PredicateValidator": "value" "validation_strategy";
    "ValidateAdheresToSchema": "base_schema";
    "ConfigMigration": "description" "transformations";
    "HTTPAPIBudget": "policies" "ratelimit_reset_header" "ratelimit_remaining_header" "status_codes_for_ratelimit_hit";
    "FixedWindowCallRatePolicy": "period" "call_limit" "matchers";
    "MovingWindowCallRatePolicy": "rates" "matchers";
    "UnlimitedCallRatePolicy": "matchers";
    "Rate": "limit" "interval";
    "HttpRequestRegexMatcher": "method" "url_base" "url_path_pattern" "params" "headers" "weight";
    "ConcurrencyLevel": "default_concurrency" "max_concurrency";
}

/// A component by its name.
pub fn component(name: &str) -> Option<&'static Component> {
    COMPONENTS.iter().find(|component| component.name == name)
}

/// Why a component is not there.
pub fn why_not(name: &str) -> &'static str {
    if name.starts_with("Custom") || name == "Custom" {
        return "it runs Python that comes with the connector";
    }
    match name {
        "AsyncRetriever" => "jobs that are made, waited for and fetched are not run",
        "ResponseToFileExtractor" => "it belongs to jobs that are made, waited for and fetched",
        "RateLimitedMultipleTokenAuthenticator" => "tokens that take turns go round a limit that the network sets; a source has one login",
        _ => "Kith has no such component",
    }
}
