# SPDX-License-Identifier: Apache-2.0
# Each header of include/tcpwin and bpf compiles alone: for BPF, and those of include/tcpwin as C++ as well.
set(ALONE_DIR ${CMAKE_CURRENT_BINARY_DIR}/headers_alone)
file(GLOB HEADERS RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/tcpwin/*.h
     ${PROJECT_SOURCE_DIR}/bpf/*.bpf.h)
foreach(header ${HEADERS})
  get_filename_component(name ${header} NAME_WE)
  set(source ${ALONE_DIR}/${name})
  if(header MATCHES "^bpf/")
    set(source ${ALONE_DIR}/${name}_bpf)
  else()
    file(GENERATE OUTPUT ${source}.cpp CONTENT "#include <tcpwin/${name}.h>\n")
    list(APPEND ALONE_SOURCES ${source}.cpp)
  endif()
  file(GENERATE OUTPUT ${source}.c CONTENT "#include \"${PROJECT_SOURCE_DIR}/${header}\"\n")
  add_custom_command(
    OUTPUT ${source}.o
    COMMAND ${CLANG} ${BPF_FLAGS} -Wno-unused-function -c ${source}.c -o ${source}.o
    DEPENDS ${BPF_SOURCES} ${source}.c
    COMMENT "Compiling ${header} alone"
    VERBATIM)
  list(APPEND ALONE_OBJECTS ${source}.o)
endforeach()
add_library(headers_alone OBJECT ${ALONE_SOURCES})
target_include_directories(headers_alone PRIVATE ${PROJECT_SOURCE_DIR}/include)
add_custom_target(headers_alone_bpf DEPENDS ${ALONE_OBJECTS})
