# SPDX-License-Identifier: Apache-2.0
# The BPF object as another version of the agent would have it: tests/kernel/leftovers_test.cpp.
set(OTHER_DIR ${CMAKE_CURRENT_BINARY_DIR}/other)
find_program(SED sed REQUIRED)
add_custom_command(
  OUTPUT ${OTHER_DIR}/tcpwin.bpf.o
  COMMAND ${CMAKE_COMMAND} -E copy_directory ${PROJECT_SOURCE_DIR}/include ${OTHER_DIR}/include
  COMMAND ${SED} -i -f ${CMAKE_CURRENT_LIST_DIR}/other_layout.sed ${OTHER_DIR}/include/tcpwin/types.h
  COMMAND ${CLANG} -I${OTHER_DIR}/include ${BPF_FLAGS} -c ${PROJECT_SOURCE_DIR}/bpf/tcpwin.bpf.c
          -o ${OTHER_DIR}/tcpwin.bpf.o
  DEPENDS ${BPF_SOURCES} ${CMAKE_CURRENT_LIST_DIR}/other_layout.sed
  COMMENT "Building the BPF object in another layout"
  VERBATIM)
target_sources(kernel_tests PRIVATE ${OTHER_DIR}/tcpwin.bpf.o)
set_source_files_properties(${OTHER_DIR}/tcpwin.bpf.o PROPERTIES EXTERNAL_OBJECT FALSE HEADER_FILE_ONLY TRUE)
target_compile_definitions(kernel_tests PRIVATE TCPWIN_OTHER_OBJECT="${OTHER_DIR}/tcpwin.bpf.o")
