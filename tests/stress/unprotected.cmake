# SPDX-License-Identifier: Apache-2.0
# The BPF object without one of its protections each: tests/stress/race_test.cpp. A script that changes nothing fails.
set(UNPROTECTED_DIR ${CMAKE_CURRENT_BINARY_DIR}/unprotected)
find_program(SED sed REQUIRED)
file(GLOB SCRIPTS CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/unprotected/*.sed)
foreach(script ${SCRIPTS})
  get_filename_component(name ${script} NAME_WE)
  set(dir ${UNPROTECTED_DIR}/${name})
  add_custom_command(
    OUTPUT ${dir}/tcpwin.bpf.o
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${PROJECT_SOURCE_DIR}/bpf ${dir}/bpf
    COMMAND ${SED} -i -f ${script} ${dir}/bpf/sweep.bpf.h ${dir}/bpf/ownership.bpf.h
    COMMAND sh -c "! diff -qr '${PROJECT_SOURCE_DIR}/bpf' '${dir}/bpf' >/dev/null || { echo '${name}.sed changes nothing' >&2; exit 1; }"
    COMMAND ${CLANG} ${BPF_FLAGS} -c ${dir}/bpf/tcpwin.bpf.c -o ${dir}/tcpwin.bpf.o
    DEPENDS ${BPF_SOURCES} ${script}
    COMMENT "Building the BPF object without protection: ${name}"
    VERBATIM)
  target_sources(stress_tests PRIVATE ${dir}/tcpwin.bpf.o)
  set_source_files_properties(${dir}/tcpwin.bpf.o PROPERTIES EXTERNAL_OBJECT FALSE HEADER_FILE_ONLY TRUE)
endforeach()
target_compile_definitions(stress_tests PRIVATE TCPWIN_UNPROTECTED="${UNPROTECTED_DIR}")
